//! Curves as a table and as a picture: time on the left, memory on the right, both axes logarithmic.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Figures of a line: by place, all that were taken.
type Line = BTreeMap<u64, Vec<f64>>;

/// See the module.
pub struct Picture {
    axis: String,
    unit: String,
    lines: Vec<(String, Line)>,
    memory: Vec<(String, Line)>,
}

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 46.0;
const GAP: f64 = 110.0;
const COLORS: [&str; 5] = ["#1f6f8b", "#c2571a", "#3c8031", "#7b4fa3", "#8b1f3f"];

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

fn power(exponent: i32) -> String {
    match exponent {
        -3 => "0.001".into(),
        -2 => "0.01".into(),
        -1 => "0.1".into(),
        0..=3 => format!("{}", 10_i32.pow(exponent.unsigned_abs())),
        4..=5 => format!("{}k", 10_i32.pow(exponent.unsigned_abs() - 3)),
        6..=8 => format!("{}M", 10_i32.pow(exponent.unsigned_abs() - 6)),
        _ => format!("1e{exponent}"),
    }
}

fn line<'a>(lines: &'a mut Vec<(String, Line)>, name: &str) -> &'a mut Line {
    let position = lines.iter().position(|(other, _)| other == name).unwrap_or_else(|| {
        lines.push((name.to_owned(), Line::new()));
        lines.len() - 1
    });
    &mut lines[position].1
}

impl Picture {
    pub fn new(axis: &str, unit: &str) -> Picture {
        Picture { axis: axis.to_owned(), unit: unit.to_owned(), lines: Vec::new(), memory: Vec::new() }
    }

    pub fn take(&mut self, name: &str, at: u64, figure: f64) {
        line(&mut self.lines, name).entry(at).or_default().push(figure);
    }

    pub fn take_memory(&mut self, part: &str, at: u64, mib: f64) {
        line(&mut self.memory, part).entry(at).or_default().push(mib);
    }

    /// The medians, as Markdown.
    pub fn table(&self) -> String {
        let all = || self.lines.iter().chain(&self.memory);
        let units = |index: usize| if index < self.lines.len() { self.unit.as_str() } else { "MiB" };
        let mut text = format!("| {} |", self.axis);
        for (index, (name, _)) in all().enumerate() {
            let _never_fails = write!(text, " {name}, {} |", units(index));
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(all().count()));
        let places = self.lines.first().map(|(_, line)| line.keys().copied().collect::<Vec<u64>>());
        for at in places.unwrap_or_default() {
            let _never_fails = write!(text, "\n| {at} |");
            for (_, line) in all() {
                let value = line.get(&at).map_or_else(|| "-".to_owned(), |values| figure(median(values)));
                let _never_fails = write!(text, " {value} |");
            }
        }
        text.push('\n');
        text
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let (width, height) = (LEFT + 2.0 * WIDTH + GAP + 20.0, TOP + HEIGHT + 50.0 + 18.0 * self.lines.len() as f64);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
        );
        self.panel(&mut text, LEFT, &format!("time, {}", self.unit), &self.lines);
        self.panel(&mut text, LEFT + WIDTH + GAP, "peak memory, MiB", &self.memory);
        text.push_str("</svg>\n");
        text
    }

    fn panel(&self, text: &mut String, left: f64, title: &str, lines: &[(String, Line)]) {
        let medians: Vec<(&str, Vec<(f64, f64)>)> = lines
            .iter()
            .map(|(name, line)| {
                let points = line.iter().map(|(at, values)| ((*at as f64).log10(), median(values).max(1e-3).log10()));
                (name.as_str(), points.collect())
            })
            .collect();
        let all = || medians.iter().flat_map(|(_, points)| points.iter().copied());
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
            (low.floor(), high.ceil().max(low.floor() + 1.0))
        };
        let (from_x, to_x) = range(&mut all().map(|(x, _)| x));
        let (from_y, to_y) = range(&mut all().map(|(_, y)| y));
        let x = |value: f64| left + (value - from_x) / (to_x - from_x) * WIDTH;
        let y = |value: f64| TOP + HEIGHT - (value - from_y) / (to_y - from_y) * HEIGHT;
        let mut put = |line: String| text.push_str(&line);
        put(format!("<text x=\"{left}\" y=\"{}\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n", TOP - 16.0));
        for exponent in from_x as i32..=to_x as i32 {
            let at = x(f64::from(exponent));
            put(format!("<line x1=\"{at}\" y1=\"{TOP}\" x2=\"{at}\" y2=\"{}\" stroke=\"#ddd\"/>\n", TOP + HEIGHT));
            put(format!(
                "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                TOP + HEIGHT + 16.0,
                power(exponent)
            ));
        }
        for exponent in from_y as i32..=to_y as i32 {
            let at = y(f64::from(exponent));
            put(format!("<line x1=\"{left}\" y1=\"{at}\" x2=\"{}\" y2=\"{at}\" stroke=\"#ddd\"/>\n", left + WIDTH));
            put(format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                left - 6.0,
                at + 4.0,
                power(exponent)
            ));
        }
        let middle = left + WIDTH / 2.0;
        put(format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            TOP + HEIGHT + 34.0,
            self.axis
        ));
        for (number, (name, points)) in medians.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let places: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
            put(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\n",
                places.join(" ")
            ));
            for (px, py) in points {
                put(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>\n", x(*px), y(*py)));
            }
            let below = TOP + HEIGHT + 54.0 + 18.0 * number as f64;
            put(format!("<rect x=\"{left}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{color}\"/>\n", below - 6.0));
            put(format!("<text x=\"{}\" y=\"{below}\">{name}</text>\n", left + 20.0));
        }
    }
}
