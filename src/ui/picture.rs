//! A frame as a picture: SVG, text on a grid of cells, in the frame's own colours.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::widgets::text::width;

/// Size of a cell in pixels.
const CELL: (f64, f64) = (8.4, 17.0);
const MARGIN: f64 = 10.0;
const GROUND: &str = "#11151c";
const INK: &str = "#d6deeb";

/// The sixteen colours of a terminal, as this picture shows them.
const SIXTEEN: [&str; 16] = [
    "#1d2430", "#f0605c", "#7cc274", "#ecbe60", "#6ab0f3", "#ce8cf0", "#61c8de", "#c8d0dc", "#808894", "#ff7b76", "#93d98b", "#ffd27a",
    "#86c2ff", "#dca6fa", "#7ddcf0", "#ffffff",
];

/// The frame as a whole SVG document.
#[must_use]
pub fn svg(frame: &Buffer, title: &str) -> String {
    let (columns, rows) = (f64::from(frame.area.width), f64::from(frame.area.height));
    let (wide, high) = (columns.mul_add(CELL.0, 2.0 * MARGIN), rows.mul_add(CELL.1, 2.0 * MARGIN));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.1} {high:.1}\" \
         font-family=\"ui-monospace, 'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{GROUND}\"/>\n",
        escaped(title)
    );
    for (row, cells) in frame.content.chunks(usize::from(frame.area.width.max(1))).enumerate() {
        line(&mut out, row, cells);
    }
    out.push_str("</svg>\n");
    out
}

/// How a run of cells looks.
#[derive(Clone, PartialEq)]
struct Look {
    ink: String,
    ground: Option<String>,
    bold: bool,
    dim: bool,
    underlined: bool,
}

fn look(cell: &Cell) -> Look {
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (mut ink, mut ground) = (colour(cell.fg), colour(cell.bg));
    if reversed {
        (ink, ground) = (Some(ground.unwrap_or_else(|| GROUND.into())), Some(ink.unwrap_or_else(|| INK.into())));
    }
    Look {
        ink: ink.unwrap_or_else(|| INK.into()),
        ground,
        bold: cell.modifier.contains(Modifier::BOLD),
        dim: cell.modifier.contains(Modifier::DIM),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
    }
}

fn line(out: &mut String, row: usize, cells: &[Cell]) {
    let mut column = 0;
    while column < cells.len() {
        let style = look(&cells[column]);
        let begin = column;
        let mut text = String::new();
        while column < cells.len() && look(&cells[column]) == style {
            text.push_str(cells[column].symbol());
            // The right half of a wide character has no text of its own.
            column += width(cells[column].symbol()).max(1);
        }
        piece(out, row, begin, column.min(cells.len()) - begin, &text, &style);
    }
}

fn piece(out: &mut String, row: usize, begin: usize, columns: usize, text: &str, look: &Look) {
    let of = |cells: usize, size: f64| f64::from(u32::try_from(cells).unwrap_or(u32::MAX)) * size;
    let (x, y, wide) = (MARGIN + of(begin, CELL.0), MARGIN + of(row, CELL.1), of(columns, CELL.0));
    // Writing to a String cannot fail.
    if let Some(ground) = &look.ground {
        let _ = writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{ground}\"/>", CELL.1);
    }
    if text.trim().is_empty() {
        return;
    }
    let mut style = String::new();
    for (on, attribute) in
        [(look.bold, " font-weight=\"bold\""), (look.dim, " opacity=\"0.6\""), (look.underlined, " text-decoration=\"underline\"")]
    {
        style.push_str(if on { attribute } else { "" });
    }
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"{}\"{style}>{}</text>",
        y + CELL.1 * 0.76,
        look.ink,
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn colour(colour: Color) -> Option<String> {
    let of = |index: usize| SIXTEEN.get(index).map(ToString::to_string);
    match colour {
        Color::Reset => None,
        Color::Black => of(0),
        Color::Red => of(1),
        Color::Green => of(2),
        Color::Yellow => of(3),
        Color::Blue => of(4),
        Color::Magenta => of(5),
        Color::Cyan => of(6),
        Color::Gray => of(7),
        Color::DarkGray => of(8),
        Color::LightRed => of(9),
        Color::LightGreen => of(10),
        Color::LightYellow => of(11),
        Color::LightBlue => of(12),
        Color::LightMagenta => of(13),
        Color::LightCyan => of(14),
        Color::White => of(15),
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Indexed(index @ 0..16) => of(usize::from(index)),
        Color::Indexed(index @ 16..232) => {
            let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
            let cube = index - 16;
            Some(format!("#{:02x}{:02x}{:02x}", level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
        }
        Color::Indexed(index) => Some(format!("#{0:02x}{0:02x}{0:02x}", 8 + 10 * (index - 232))),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn runs_of_one_look_are_one_text_on_the_grid() {
        let mut frame = Buffer::with_lines(["ab <c> 全x"]);
        frame.set_style(ratatui::layout::Rect::new(3, 0, 3, 1), Style::new().red().bold().reversed());
        let picture = svg(&frame, "a & b");
        let texts: Vec<&str> = picture.lines().filter(|line| line.starts_with("<text")).collect();
        assert_eq!(texts.len(), 3, "{picture}");
        assert!(
            texts[1].contains(">&lt;c&gt;</text>") && texts[1].contains("font-weight=\"bold\"") && texts[1].contains("x=\"35.2\""),
            "{picture}"
        );
        assert!(texts[1].contains("fill=\"#11151c\"") && picture.contains("height=\"17.0\" fill=\"#f0605c\""), "{picture}");
        assert!(texts[2].contains(">&#x20;全x<") || texts[2].contains("> 全x<"), "{picture}");
        assert!(texts[2].contains("textLength=\"33.6\""), "a blank, a wide letter and a narrow one: {picture}");
        assert!(picture.contains("<title>a &amp; b</title>"));
    }

    #[test]
    fn every_colour_of_a_terminal_has_one_here() {
        assert_eq!(colour(Color::Indexed(196)).as_deref(), Some("#ff0000"));
        assert_eq!(colour(Color::Indexed(255)).as_deref(), Some("#eeeeee"));
        assert_eq!(colour(Color::Rgb(1, 2, 255)).as_deref(), Some("#0102ff"));
        assert_eq!(colour(Color::Reset), None);
    }
}
