//! Plots as SVG: lines over a logarithmic axis, and bars.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 45.0;
/// Of a bar and the gap to the next.
const BAR: f64 = 16.0;
/// Room for the names of bars.
const NAMES: f64 = 330.0;

pub struct Series {
    pub name: String,
    pub color: &'static str,
    /// x, y; both above 0.
    pub points: Vec<(f64, f64)>,
}

/// A line for each series; both axes are logarithmic.
pub fn lines(title: &str, x: &str, y: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| series.points.iter());
    let xs = Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let ys = Axis::over(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut svg = begin(title, HEIGHT);
    for (value, text) in xs.ticks() {
        let at = xs.place(value);
        rule(&mut svg, (at, TOP), (at, HEIGHT - BOTTOM));
        label(&mut svg, (at, HEIGHT - BOTTOM + 16.0), "middle", &text);
    }
    for (value, text) in ys.ticks() {
        let at = ys.place(value);
        rule(&mut svg, (LEFT, at), (WIDTH - RIGHT, at));
        label(&mut svg, (LEFT - 6.0, at + 4.0), "end", &text);
    }
    label(&mut svg, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0), "middle", x);
    label(&mut svg, (8.0, TOP - 8.0), "start", y);
    for (n, one) in series.iter().enumerate() {
        let path: Vec<String> =
            one.points.iter().map(|(x, y)| format!("{:.1},{:.1}", xs.place(*x), ys.place(*y))).collect();
        let _ = writeln!(
            svg,
            r#"<polyline fill="none" stroke="{}" stroke-width="2" points="{}"/>"#,
            one.color,
            path.join(" ")
        );
        for point in &path {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, r#"<circle cx="{x}" cy="{y}" r="3" fill="{}"/>"#, one.color);
        }
        legend(&mut svg, (WIDTH - RIGHT + 12.0, TOP + 10.0 + 18.0 * n as f64), one.color, &one.name);
    }
    svg + "</svg>\n"
}

/// Groups of horizontal bars, one bar for each of `names`, around a line at 1; the axis is logarithmic.
pub fn ratios(title: &str, names: &[(&str, &'static str)], rows: &[(String, Vec<f64>)]) -> String {
    let each = BAR * names.len() as f64 + 6.0;
    let height = TOP + 24.0 + each * rows.len() as f64 + BOTTOM;
    let values = rows.iter().flat_map(|(_, values)| values.iter().copied()).chain([1.0]);
    let axis = Axis::over(values.filter(|value| *value > 0.0), NAMES, WIDTH - 60.0);
    let mut svg = begin(title, height);
    for (n, (name, color)) in names.iter().enumerate() {
        legend(&mut svg, (NAMES + 180.0 * n as f64, TOP + 4.0), color, name);
    }
    for (value, text) in axis.ticks() {
        let at = axis.place(value);
        rule(&mut svg, (at, TOP + 14.0), (at, height - BOTTOM));
        label(&mut svg, (at, height - BOTTOM + 16.0), "middle", &format!("{text} x"));
    }
    for (n, (name, values)) in rows.iter().enumerate() {
        let top = TOP + 20.0 + each * n as f64;
        label(&mut svg, (NAMES - 8.0, top + each / 2.0), "end", name);
        for (bar, (value, (_, color))) in values.iter().zip(names).enumerate().filter(|(_, (value, _))| **value > 0.0) {
            let (from, to) = (axis.place(1.0).min(axis.place(*value)), axis.place(1.0).max(axis.place(*value)));
            let y = top + BAR * bar as f64;
            let (width, height) = ((to - from).max(1.0), BAR - 3.0);
            let _ = writeln!(
                svg,
                r#"<rect x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{height}" fill="{color}"/>"#
            );
            label(&mut svg, (to + 4.0, y + 11.0), "start", &format!("{value:.2}"));
        }
    }
    svg + "</svg>\n"
}

/// A logarithmic axis, from one place to another.
struct Axis {
    lowest: f64,
    highest: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (lowest, highest) =
            values.fold((f64::INFINITY, 0.0f64), |(lowest, highest), value| (lowest.min(value), highest.max(value)));
        // Room for both ends, and where there is one value or none.
        let (lowest, highest) = if lowest <= highest { (lowest / 1.15, highest * 1.15) } else { (1.0, 10.0) };
        Axis { lowest, highest, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.lowest).ln() / (self.highest / self.lowest).ln();
        self.from + part * (self.to - self.from)
    }

    /// Powers of ten; where there are few, what lies between too.
    fn ticks(&self) -> Vec<(f64, String)> {
        let steps: &[f64] = if self.highest / self.lowest > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = self.lowest.log10().floor() as i32..=self.highest.log10().ceil() as i32;
        let values = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let inside = values.filter(|value| (self.lowest..=self.highest).contains(value));
        inside.map(|value| (value, short(value))).collect()
    }
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

fn begin(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let _ = writeln!(svg, r#"<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{}</text>"#, escaped(title));
    svg
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#ddd"/>"##,
        from.0, from.1, to.0, to.1
    );
}

fn label(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="#333">{}</text>"##,
        at.0,
        at.1,
        escaped(text)
    );
}

fn legend(svg: &mut String, at: (f64, f64), color: &str, name: &str) {
    let _ = writeln!(svg, r#"<rect x="{:.1}" y="{:.1}" width="10" height="10" fill="{color}"/>"#, at.0, at.1 - 9.0);
    label(svg, (at.0 + 15.0, at.1), "start", name);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_logarithmic_and_ticks_inside() {
        let axis = Axis::over([1.0, 100.0].into_iter(), 0.0, 200.0);
        assert!((axis.place(10.0) - 100.0).abs() < 0.01);
        assert!(axis.ticks().iter().any(|(value, text)| *value == 10.0 && text == "10"));
        assert!(axis.ticks().iter().all(|(value, _)| (0.0..=200.0).contains(&axis.place(*value))));
    }

    #[test]
    fn nothing_measured_is_no_number_missing() {
        for svg in [lines("a < b", "x", "y", &[]), ratios("r", &[("a", "red")], &[])] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
