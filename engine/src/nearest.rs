//! The nearest of known names to a misspelt one.

/// Most names that [`nearest`] returns.
pub const NEAREST_COUNT_MAX: usize = 3;

/// The candidates that are likely meant by `wanted`, nearest first, at most [`NEAREST_COUNT_MAX`]; none if all are far.
///
/// Near are names that start with what was written (from two characters on), and names within a third of their length
/// in edits, a swap of neighbours being one edit, as long as no other name is much nearer. Equal distances keep the
/// order of the candidates.
pub fn nearest<'name>(wanted: &str, candidates: impl IntoIterator<Item = &'name str>) -> Vec<&'name str> {
    let folded = wanted.to_lowercase();
    let folded_len = folded.chars().count();
    let mut ranked: Vec<Ranked<'name>> = candidates
        .into_iter()
        .map(|name| {
            let candidate = name.to_lowercase();
            let begins = folded_len >= 2 && candidate.starts_with(&folded);
            Ranked { edits: distance(&folded, &candidate), begins, name }
        })
        .filter(|ranked| {
            let name_len = ranked.name.chars().count();
            let close = ranked.edits <= folded_len.max(name_len).div_ceil(3);
            ranked.edits < name_len && (ranked.begins || close)
        })
        .collect();
    ranked.sort_by_key(|ranked| ranked.edits);
    let farthest = ranked.first().map_or(0, |best| 2 * best.edits + 1);
    ranked.retain(|ranked| ranked.begins || ranked.edits <= farthest);
    ranked.truncate(NEAREST_COUNT_MAX);
    ranked.into_iter().map(|ranked| ranked.name).collect()
}

struct Ranked<'name> {
    edits: usize,
    begins: bool,
    name: &'name str,
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts; long texts count by their first 64
/// characters, which bounds the work on hostile names.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut two_ago: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut current = vec![row];
        for column in 1..=right.len() {
            let replaced = previous[column - 1] + usize::from(left[row - 1] != right[column - 1]);
            let mut best = replaced.min(previous[column] + 1).min(current[column - 1] + 1);
            let swapped =
                row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1];
            if swapped {
                best = best.min(two_ago[column - 2] + 1);
            }
            current.push(best);
        }
        two_ago = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances_count_edits_and_swaps() {
        for (left, right, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("sync", "sync", 0),
            ("snyc", "sync", 1),
            ("segmnt_size", "segment_size", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
            assert_eq!(distance(right, left), edits, "{right} {left}");
        }
    }

    #[test]
    fn near_names_come_nearest_first_and_far_ones_not_at_all() {
        let names = ["sync", "segment_size", "lock_timeout", "segments", "nightly-7"];
        assert_eq!(nearest("segment-size", names), ["segment_size"]);
        assert_eq!(nearest("SYNC", names), ["sync"]);
        assert_eq!(nearest("segmen", names), ["segments", "segment_size"]);
        assert_eq!(nearest("nightly", names), ["nightly-7"]);
        assert!(nearest("retention", names).is_empty());
        assert!(nearest("x", names).is_empty());
        assert!(nearest("", names).is_empty());
        assert!(nearest("x", ["y"]).is_empty(), "a name that shares nothing is not near");
        assert_eq!(nearest("ab", ["abc1", "abc2", "abc3", "abc4"]), ["abc1", "abc2", "abc3"]);
    }
}
