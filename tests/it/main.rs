//! One integration binary over the whole of taffrail.

mod command_line;
