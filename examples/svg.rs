//! Charts as SVG: what `pictures` and `replay` draw with.
//!
//! A picture has a background of its own and follows the reader's light or dark scheme. Put into a page of
//! rustdoc, it follows the theme that is chosen there. It has no empty line, so that Markdown takes it
//! as one piece of HTML.

use std::fmt::Write as _;
use std::ops::Range;

/// The colours: name of the class, property, in light, in dark. Names begin with `tp-`, since a style
/// inside of a page is the whole page's.
const COLOURS: [(&str, &str, &str, &str); 11] = [
    ("tp-page", "fill", "#ffffff", "#0d1117"),
    ("tp-ink", "fill", "#1f2328", "#f0f6fc"),
    ("tp-dim", "fill", "#59636e", "#9198a1"),
    ("tp-load", "fill", "#d8dee4", "#2f353d"),
    ("tp-ours", "fill", "#1a7f37", "#3fb950"),
    ("tp-also", "fill", "#8250df", "#a371f7"),
    ("tp-peer", "fill", "#0969da", "#4493f8"),
    ("tp-over", "fill", "#cf222e", "#f85149"),
    ("tp-rule", "stroke", "#d1d9e0", "#3d444d"),
    ("tp-mark", "stroke", "#1f2328", "#f0f6fc"),
    ("tp-thin", "stroke", "#59636e", "#9198a1"),
];

/// Where a text begins, ends, or has its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that is being drawn.
#[derive(Debug)]
pub(crate) struct Picture {
    text: String,
}

impl Picture {
    /// An empty picture with a heading. `about` says what it shows to those who cannot see it.
    pub(crate) fn new(size: (f64, f64), heading: &str, about: &str) -> Self {
        let (width, height) = size;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             role=\"img\" style=\"max-width:100%;height:auto\" font-family=\"system-ui,sans-serif\" \
             font-size=\"12\">\n<title>{}</title>\n<desc>{}</desc>\n",
            escaped(heading),
            escaped(about)
        );
        style(&mut text);
        let mut picture = Self { text };
        picture.rect((0.0, 0.0), size, "tp-page");
        picture.write(&format!(
            "<text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"600\" class=\"tp-ink\">{}</text>",
            escaped(heading)
        ));
        picture
    }

    /// A text; `y` is its base line.
    pub(crate) fn label(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.write(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\"{anchor} class=\"{class}\">{}</text>",
            escaped(text)
        ));
    }

    /// A heading of a part.
    pub(crate) fn heading(&mut self, (x, y): (f64, f64), text: &str) {
        self.write(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"13\" font-weight=\"600\" class=\"tp-ink\">{}</text>",
            escaped(text)
        ));
    }

    /// A filled rectangle.
    pub(crate) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.write(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"/>"
        ));
    }

    /// A bar that is paler the less `strength` it has, of 1.
    pub(crate) fn bar(&mut self, at: (f64, f64), size: (f64, f64), class: &str, strength: f64) {
        let ((x, y), (width, height)) = (at, size);
        self.write(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill-opacity=\"{strength}\" class=\"{class}\"/>"
        ));
    }

    /// A straight line, dashed or not. Its class is one that strokes.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str, dashed: bool) {
        let dashes = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        self.write(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"{dashes} class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// The whole, as the text of a file.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn write(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }
}

/// A part of a picture with axes, for what changes over time.
#[derive(Debug)]
pub(crate) struct Plot {
    /// The corner at the top left, and the size.
    pub(crate) at: (f64, f64),
    pub(crate) size: (f64, f64),
    /// The reach of the axes.
    pub(crate) across: Range<f64>,
    pub(crate) most: f64,
}

impl Plot {
    /// Where a value is.
    pub(crate) fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let share = (x - self.across.start) / (self.across.end - self.across.start);
        let (left, top) = self.at;
        (left + share * self.size.0, top + (1.0 - (y / self.most).min(1.0)) * self.size.1)
    }

    /// Lines and numbers of both axes.
    pub(crate) fn axes(&self, picture: &mut Picture, xs: &[(f64, String)], ys: &[f64]) {
        for &y in ys {
            let (left, level) = self.place(self.across.start, y);
            picture.line((left, level), (left + self.size.0, level), "tp-rule", false);
            picture.label((left - 6.0, level + 4.0), Anchor::End, "tp-dim", &number(y));
        }
        for (x, name) in xs {
            let (left, bottom) = self.place(*x, 0.0);
            picture.line((left, bottom), (left, bottom + 4.0), "tp-rule", false);
            picture.label((left, bottom + 17.0), Anchor::Middle, "tp-dim", name);
        }
    }

    /// A level that nothing should pass.
    pub(crate) fn limit(&self, picture: &mut Picture, y: f64, name: &str) {
        let (left, level) = self.place(self.across.start, y);
        let right = left + self.size.0;
        picture.line((left, level), (right, level), "tp-mark", true);
        picture.label((right + 6.0, level + 4.0), Anchor::Start, "tp-ink", name);
    }

    /// Steps, filled from `floor` upward: each value holds from its time to the next one's.
    pub(crate) fn steps(
        &self,
        picture: &mut Picture,
        values: &[(f64, f64)],
        floor: f64,
        class: &str,
    ) {
        let mut path = String::new();
        let mut draw = |at: (f64, f64)| {
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", at.0, at.1);
        };
        let ends = values.iter().skip(1).map(|next| next.0).chain([self.across.end]);
        let mut is_open = false;
        for (&(x, y), end) in values.iter().zip(ends) {
            if y <= floor {
                if is_open {
                    draw(self.place(x, floor));
                }
                is_open = false;
                continue;
            }
            // A way along the floor is no area, and joins what stands apart.
            if !is_open {
                draw(self.place(x, floor));
            }
            draw(self.place(x, y));
            draw(self.place(end, y));
            is_open = true;
        }
        if is_open {
            draw(self.place(self.across.end, floor));
        }
        if !path.is_empty() {
            picture.write(&format!("<path d=\"{path}Z\" class=\"{class}\"/>"));
        }
    }
}

fn style(text: &mut String) {
    let rules = |before: &str, dark: bool| -> String {
        let rule = |&(name, property, in_light, in_dark): &(&str, &str, &str, &str)| {
            let colour = if dark { in_dark } else { in_light };
            format!("{before}.{name}{{{property}:{colour}}}")
        };
        COLOURS.iter().map(rule).collect()
    };
    text.push_str("<style>\n");
    let _ = writeln!(text, "{}", rules("", false));
    let _ = writeln!(text, "@media (prefers-color-scheme:dark){{{}}}", rules("", true));
    // The themes of rustdoc.
    let _ = writeln!(text, "{}", rules("[data-theme=light] ", false));
    let _ = writeln!(text, "{}", rules(":is([data-theme=dark],[data-theme=ayu]) ", true));
    text.push_str("</style>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number with its thousands apart; whole ones without a fraction.
pub(crate) fn number(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value}");
    }
    let digits = format!("{value}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
