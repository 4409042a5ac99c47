//! What a bug looks like: exit 70, a code, and how to report it.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::codes;
use crate::exit::Exit;
use crate::output::{Output, Style};
use crate::problem::Problem;

/// Replaces the report of panics for the whole process.
pub fn install_hook(style: Style) {
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        let mut output = Output::of_process();
        output.set_style(style);
        output.problem(&problem(&message(panic), place.as_deref()));
    }));
}

/// Runs the program; a panic is [`Exit::Bug`]. The hook has reported it by then.
pub fn guarded(program: impl FnOnce() -> Exit) -> Exit {
    panic::catch_unwind(AssertUnwindSafe(program)).unwrap_or(Exit::Bug)
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

fn problem(message: &str, place: Option<&str>) -> Problem {
    let version = env!("CARGO_PKG_VERSION");
    let problem = Problem::new(codes::T0190, Exit::Bug, format!("this is a bug in taffrail {version}: {message}"))
        .hint("taffrail explain T0190")
        .with("version", version);
    match place {
        Some(place) => problem.at(place),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::{guarded, problem};
    use crate::exit::Exit;

    #[test]
    fn a_panic_ends_with_70_and_anything_else_as_it_says() {
        assert_eq!(guarded(|| Exit::Damage), Exit::Damage);
        assert_eq!(guarded(|| panic!("on purpose")), Exit::Bug);
    }

    #[test]
    fn the_report_says_what_where_and_which_version() {
        let problem = problem("index out of bounds", Some("cli/src/x.rs:1:2"));
        assert_eq!(problem.exit, Exit::Bug);
        assert!(
            problem.message.ends_with("index out of bounds") && problem.message.contains(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(problem.place.as_deref(), Some("cli/src/x.rs:1:2"));
    }
}
