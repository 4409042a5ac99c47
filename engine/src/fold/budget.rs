//! Bounds on decoding hostile bytes.
//!
//! A length that was read from the bytes says how many elements follow. Elements that take bytes end with the bytes; those
//! that take none (`Vec<()>`) would be made by the billion, and nested ones would overflow the stack. A [`Budget`] counts both.

use std::cell::Cell;

/// Deepest nesting of a value.
pub(crate) const MAX_DEPTH: u32 = 128;
/// Elements of sequences that may take no bytes at all.
pub(crate) const MAX_EMPTY_ELEMENTS: u64 = 1 << 16;

/// What is left to be decoded.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: Cell<u32>,
    elements: Cell<u64>,
}

impl Budget {
    /// A budget for so many bytes: each element of a sequence begins with a byte of its own, but for the few that are empty.
    pub(crate) fn for_bytes(len_bytes: usize) -> Budget {
        Budget { depth: Cell::new(MAX_DEPTH), elements: Cell::new(len_bytes as u64 + MAX_EMPTY_ELEMENTS) }
    }

    /// Goes one level down.
    #[inline]
    pub(crate) fn enter(&self) -> Result<(), String> {
        let Some(depth) = self.depth.get().checked_sub(1) else { return Err(too_deep()) };
        self.depth.set(depth);
        Ok(())
    }

    /// Comes up again.
    #[inline]
    pub(crate) fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// Takes one element of a sequence or a map.
    #[inline]
    pub(crate) fn take_element(&self) -> Result<(), String> {
        let Some(elements) = self.elements.get().checked_sub(1) else { return Err(too_many()) };
        self.elements.set(elements);
        Ok(())
    }
}

#[cold]
fn too_deep() -> String {
    format!("it is nested more than {MAX_DEPTH} levels deep")
}

#[cold]
fn too_many() -> String {
    "it has more elements than its bytes can hold".to_owned()
}
