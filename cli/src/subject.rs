//! What a command about states is about: a fold's state of one run, or of the store, at places of the log.

use taffrail::fold::{Scope, unread};
use taffrail::position::Position;
use taffrail::run::seq_of_step;
use taffrail::storage::Storage;
use taffrail::{Fold, Reader, Seq, Standing};

use crate::codes;
use crate::exit::Exit;
use crate::problem::{Failure, Problem};
use crate::run_names::RunNames;
use crate::store::Store;
use crate::translate;
use crate::usage::quoted;

/// A store that is being read, and the run whose state is asked for.
#[derive(Debug)]
pub struct Subject {
    /// The store.
    pub store: Store,
    /// Its reader.
    pub reader: Reader,
    /// The run; `None` for a fold over the store.
    pub run: Option<Seq>,
    /// The run's name, or its number as `#7`.
    pub name: Option<String>,
}

impl Subject {
    /// A run by its name, a unique prefix of it, or its number as `#7`. Without one: the store, for a fold over it; else
    /// the run that there is, if there is only one.
    ///
    /// # Errors
    /// T0141 for a name that leads nowhere; T0104 where the store has several runs; as reading.
    pub fn find<F: Fold>(store: Store, run: Option<&str>) -> Result<Self, Failure> {
        let reader = store.reader()?;
        let found = match (F::SCOPE, run) {
            (Scope::Store, None) => return Ok(Self { store, reader, run: None, name: None }),
            (_, Some(name)) => reader.find_run(name).map_err(|error| store.problem_of_run(name, &error))?,
            (Scope::Run, None) => {
                let mut runs = reader.runs().map_err(|error| store.problem(&error))?.into_values();
                match (runs.next(), runs.next()) {
                    (Some(only), None) => only,
                    (None, _) => return Err(no_runs(&store)),
                    (Some(_), Some(_)) => return Err(missing_run(&store)),
                }
            }
        };
        let name = found.name.unwrap_or_else(|| format!("#{}", found.run));
        Ok(Self { store, reader, run: Some(found.run), name: Some(name) })
    }

    /// Words of a command line that are positions behind an optional run: a word is taken for a run if that is its name, or
    /// if it is no position. Without a run, it is the run of the event at the last of the positions.
    ///
    /// # Errors
    /// As [`Subject::find`]; T0120 for a word that is neither.
    pub fn of_words<F: Fold>(store: Store, words: &[String]) -> Result<(Self, Vec<Position>), Failure> {
        let reader = store.reader()?;
        let is_run = |word: &String| reader.find_run(word).is_ok();
        let positions = |words: &[String]| -> Result<Vec<Position>, Failure> {
            words.iter().map(|word| word.parse().map_err(|error| translate::position(&error).into())).collect()
        };
        if let Some((first, rest)) = words.split_first()
            && (is_run(first) || first.parse::<Position>().is_err())
        {
            let positions = positions(rest)?;
            return Ok((Self::find::<F>(store, Some(first))?, positions));
        }
        let positions = positions(words)?;
        let Some(last) = positions.last().filter(|_| F::SCOPE == Scope::Run) else {
            return Ok((Self::find::<F>(store, None)?, positions));
        };
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        let seq = reader.resolve(last, store.disk.now_ns()).map_err(problem)?;
        let run = reader.get(seq).map_err(problem)?.and_then(|record| record.run);
        let Some(run) = run else { return Ok((Self::find::<F>(store, None)?, positions)) };
        let name = RunNames::default().name(&reader, run);
        Ok((Self { store, reader, run: Some(run), name: Some(name) }, positions))
    }

    /// The seq of a position; `None` stands for the end of the log.
    ///
    /// # Errors
    /// T0146 for a position that is not in the log; as reading.
    pub fn seq(&self, position: Option<&Position>) -> Result<Seq, Failure> {
        let head = Position::Head { back: 0 };
        let position = position.unwrap_or(&head);
        if let Some(run) = self.run
            && let Some(seq) = seq_of_position(&self.store, &self.reader, (run, self.title()), position)?
        {
            return Ok(seq);
        }
        let resolved = self.reader.resolve_for(self.run, position, self.store.disk.now_ns());
        resolved.map_err(|error| self.problem(&error))
    }

    /// Whether the fold has met events here.
    ///
    /// # Errors
    /// T0425 where there are none of a type that it reads, and none are missing; as reading.
    pub fn check_read<F: Fold>(&self, standing: &Standing<F>) -> Result<(), Failure> {
        if standing.events > 0 || standing.lacks().next().is_some() {
            return Ok(());
        }
        Err(self.problem(&self.unread::<F>()?))
    }

    /// What is to be said where a fold has met no event.
    ///
    /// # Errors
    /// As reading.
    pub fn unread<F: Fold>(&self) -> Result<taffrail::Error, Failure> {
        let run = self.run.map(|run| (run, self.title()));
        unread::<F>(&self.reader, run).map_err(|error| self.problem(&error))
    }

    /// What people call it: the run's name, or the store.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("the store")
    }

    /// An error of the engine.
    #[must_use]
    pub fn problem(&self, error: &taffrail::Error) -> Failure {
        self.store.problem(error).into()
    }
}

/// The seq of a position that is a step of a run, which is given with what people call it; `None` for any other position.
///
/// # Errors
/// T0146 where the run has no such step; as reading.
pub fn seq_of_position(
    store: &Store,
    reader: &Reader,
    (run, name): (Seq, &str),
    position: &Position,
) -> Result<Option<Seq>, Failure> {
    let (step, after) = match position {
        Position::Before(step) => (step, false),
        Position::After(step) => (step, true),
        _ => return Ok(None),
    };
    let seq = seq_of_step(reader, run, step, after).map_err(|error| store.problem(&error))?;
    if seq.is_some() {
        return Ok(seq);
    }
    let message = format!("no position {position}: {name} has no such step, or it has not come so far");
    let hint = store.command(&format!("run show {}", quoted(name)));
    Err(Problem::new(codes::T0146, Exit::Differs, message).hint(hint).into())
}

fn no_runs(store: &Store) -> Failure {
    Problem::new(codes::T0141, Exit::Differs, "the store has no run").hint(store.command("log stat")).into()
}

fn missing_run(store: &Store) -> Failure {
    let message = "which run? the store has several, and each has a state of its own";
    Problem::new(codes::T0104, Exit::Usage, message).hint(store.command("log stat --by run")).into()
}
