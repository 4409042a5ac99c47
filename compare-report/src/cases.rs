//! Names of cases: what of a row of results tells which case of its workload it is.

use serde_json::Value;

/// The case of a row.
pub(crate) fn case_of(row: &Value) -> String {
    if let Some(threads) = row["threads"].as_u64() {
        return format!("{threads} threads");
    }
    let size = match (row["w"].as_str(), row["size"].as_u64()) {
        // Their sizes are part of what they are.
        (Some("W5" | "W6"), _) | (_, None) => None,
        (_, Some(size)) if size >= 1024 => Some(format!("{} KiB", size / 1024)),
        (_, Some(size)) => Some(format!("{size} B")),
    };
    let temperature = row["temp"].as_str().map(str::to_owned);
    size.into_iter().chain(temperature).collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cases_are_named_by_what_differs() {
        assert_eq!(case_of(&json!({"w": "W4", "size": 1024, "temp": "cold"})), "1 KiB, cold");
        assert_eq!(case_of(&json!({"w": "W1", "size": 128})), "128 B");
        assert_eq!(case_of(&json!({"w": "W3", "size": 1024, "threads": 8})), "8 threads");
        assert_eq!(case_of(&json!({"w": "W5", "size": 1024, "temp": "warm"})), "warm");
        assert_eq!(case_of(&json!({"w": "fold"})), "");
    }
}
