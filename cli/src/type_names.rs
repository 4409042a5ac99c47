//! Names of types on the command line.

use taffrail::{Kind, Reader};

use crate::codes;
use crate::exit::Exit;
use crate::problem::{Failure, Problem};
use crate::store::Store;

/// Whether a log has types of all these names.
///
/// # Errors
/// T0148 with the names that there are; as reading.
pub fn check(reader: &Reader, wanted: &[String], store: &Store) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let known = known_types(reader).map_err(|error| store.problem(&error))?;
    let is_known = |wanted: &String| {
        known.iter().any(|(name, called)| name == wanted || called.iter().any(|other| other == wanted))
    };
    wanted.iter().find(|wanted| !is_known(wanted)).map_or(Ok(()), |wanted| Err(unknown_type(wanted, &known)))
}

/// The full names of the types there are, with what else they are called; the log's own kinds behind them.
fn known_types(reader: &Reader) -> taffrail::Result<Vec<(String, Vec<String>)>> {
    let of_users = reader.types()?;
    let mut known: Vec<(String, Vec<String>)> =
        of_users.iter().map(|entry| (entry.full_name(), vec![entry.name.clone(), entry.variant.clone()])).collect();
    known.sort();
    known.dedup();
    let own = (1..Kind::FIRST_USER.get()).filter_map(Kind::new).filter(|kind| kind.takes_seq());
    known.extend(own.filter_map(Kind::reserved_name).map(|name| (name.to_owned(), Vec::new())));
    Ok(known)
}

fn unknown_type(wanted: &str, known: &[(String, Vec<String>)]) -> Failure {
    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    let near = taffrail::nearest::nearest(wanted, names.iter().copied());
    let guess = near.first().map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    let message = format!("no event has the type {wanted:?}; {guess}there are: {}", names.join(", "));
    Problem::new(codes::T0148, Exit::Usage, message)
        .hint("taffrail explain T0148")
        .with("valid", names)
        .with("nearest", near)
        .into()
}
