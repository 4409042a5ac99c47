//! The curves: what grows, and from where to where.

use crate::Settings;
use crate::picture::Picture;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Curve {
    name: &'static str,
    /// What the axis at the bottom counts.
    axis: &'static str,
    points: &'static [u64],
    /// The unit of what is measured.
    unit: &'static str,
}

const CURVES: [Curve; 6] = [
    Curve {
        name: "events",
        axis: "events of 128 B in the store",
        points: &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        unit: "ms",
    },
    Curve {
        name: "runs",
        axis: "runs that 100,000 events belong to",
        points: &[1, 10, 100, 1_000, 10_000, 100_000],
        unit: "ms",
    },
    Curve {
        name: "threads",
        axis: "threads that append durably, 1 KiB",
        points: &[1, 2, 4, 8, 16, 32, 64],
        unit: "us",
    },
    Curve { name: "segments", axis: "segments that 128 MiB lie in", points: &[1, 4, 16, 64, 256, 1024], unit: "ms" },
    Curve { name: "payload", axis: "bytes of payload per event", points: &[16, 128, 1024, 8192, 65_536], unit: "ms" },
    Curve {
        name: "snapshot age",
        axis: "events behind the snapshot",
        points: &[1, 100, 1_000, 10_000, 100_000, 1_000_000],
        unit: "ms",
    },
];

/// Measures every curve (or `--only` one), prints its table, and draws it.
pub fn measure(settings: &Settings) {
    let pictures = settings.get("pictures").map(Path::new);
    for curve in CURVES.iter().filter(|curve| settings.get("only").is_none_or(|only| only == curve.name)) {
        let most = settings.get("most").map_or(u64::MAX, |text| 10_u64.pow(text.parse().expect("an exponent")));
        let mut picture = Picture::new(curve.axis, curve.unit);
        for at in curve.points.iter().filter(|at| **at <= most) {
            point(settings, curve, *at, &mut picture);
        }
        println!("{}", picture.table());
        if let Some(directory) = pictures {
            let file = directory.join(format!("{}.svg", curve.name.replace(' ', "-")));
            std::fs::write(&file, picture.svg()).expect("the picture is written");
        }
    }
    let _removed = std::fs::remove_dir_all(settings.data());
}

/// Writes a store and reads it, in a process each; three times, and the middle one counts.
fn point(settings: &Settings, curve: &Curve, at: u64, picture: &mut Picture) {
    for _ in 0..3 {
        let data = settings.data();
        let _nothing_there = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data).expect("a directory");
        for part in ["append", "read"] {
            if curve.name == "threads" && part == "read" {
                continue;
            }
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command
                .args(["point", "--curve", curve.name, "--part", part, "--at", &at.to_string(), "--data"])
                .arg(&data);
            let output = command.output().expect("this program starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let told: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
            let figures: Vec<(String, f64)> = serde_json::from_value(told["figures"].clone()).expect("figures");
            if figures.is_empty() {
                continue;
            }
            for (line, figure) in figures {
                picture.take(&line, at, figure);
            }
            picture.take_memory(part, at, told["peak_mib"].as_f64().unwrap_or(0.0));
        }
    }
}
