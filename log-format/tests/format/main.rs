//! The format under attack: crashes, rot, surgery, hostile bytes, and files of earlier days.

#![allow(clippy::panic, reason = "a test's verdict")]

mod arbitrary;
mod blocks;
mod crash;
mod ends;
mod flips;
mod footers;
mod frames;
mod golden;
mod image;
#[path = "../../../lab/lab_result.rs"]
mod lab_result;
mod masks;
mod random;
mod sabotage;
mod surgery;
mod windows;
