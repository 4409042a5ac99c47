//! How a test tells the lab what it found: one line, `lab-result {...}`. Test crates include this file by its path.

/// Runs a check. Its body returns how many cases it examined, and figures by name; it panics where a promise is broken.
/// Either way the lab is told.
pub(crate) fn tell(check: &str, promises: &[&str], body: impl FnOnce() -> (u64, Vec<(&'static str, u64)>)) {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok((cases, figures)) => line(check, promises, cases, 0, "null", &figures),
        Err(panic) => {
            line(check, promises, 0, 1, "null", &[]);
            std::panic::resume_unwind(panic);
        }
    }
}

/// Says that a check did not run here, and why.
#[allow(dead_code, reason = "not every crate of tests has a check that may be skipped")]
pub(crate) fn skip(check: &str, promises: &[&str], why: &str) {
    line(check, promises, 0, 0, &format!("{why:?}"), &[]);
}

#[allow(clippy::print_stdout, reason = "the lab reads it")]
fn line(check: &str, promises: &[&str], cases: u64, failures: u64, skipped: &str, figures: &[(&str, u64)]) {
    let promises: Vec<String> = promises.iter().map(|promise| format!("{promise:?}")).collect();
    let figures: Vec<String> = figures.iter().map(|(name, number)| format!("{name:?}:{number}")).collect();
    println!(
        "lab-result {{\"check\":{check:?},\"promise\":[{}],\"cases\":{cases},\"failures\":{failures},\"skipped\":{skipped},\
         \"figures\":{{{}}}}}",
        promises.join(","),
        figures.join(",")
    );
}
