//! One integration binary over the whole of taffrail.
