//! A table that fits: names give way, numbers do not.

use unicode_width::UnicodeWidthStr as _;

/// A column, by what it is called and how it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) fit: Fit,
    /// Shown from this width of the whole on.
    pub(crate) from: usize,
}

/// How a column is fitted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Takes what is left over, and is cut if that is not enough.
    Name,
    /// A word, as wide as it is.
    Word,
    /// The same, flush right.
    Number,
}

/// A cell; what is bad is red, where there are colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) bad: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, bad: false }
    }
}

/// No name is cut to less.
const LEAST: usize = 4;

/// Which columns are shown, and how wide each is. Without a width all are, as wide as they want to be.
pub(crate) fn fitted(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<(usize, usize)> {
    let shown: Vec<usize> =
        (0..columns.len()).filter(|at| width.is_none_or(|width| columns[*at].from <= width)).collect();
    let natural = |at: usize| {
        let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width()).max();
        widest.unwrap_or(0).max(columns[at].title.width())
    };
    let mut widths: Vec<usize> = shown.iter().map(|at| natural(*at)).collect();
    if let Some(width) = width {
        let is_name = |place: &usize| columns[shown[*place]].fit == Fit::Name;
        let (names, others): (Vec<usize>, Vec<usize>) = (0..shown.len()).partition(is_name);
        let taken: usize = others.iter().map(|place| widths[*place]).sum();
        share(&mut widths, names, width.saturating_sub(taken + shown.len().saturating_sub(1)));
    }
    shown.into_iter().zip(widths).collect()
}

/// The lines of a table, the titles first. Without a width nothing is cut and no column left out.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>, colour: bool) -> Vec<String> {
    let fitted = fitted(columns, rows, width);
    let line = |row: &[Cell], title: bool| {
        let mut line = String::new();
        for (n, (at, width)) in fitted.iter().enumerate() {
            let empty = Cell::default();
            let cell = row.get(*at).unwrap_or(&empty);
            let text = cut(&cell.text, *width);
            let padding = " ".repeat(width.saturating_sub(text.width()));
            let (on, off) = match (colour, title, cell.bad) {
                (true, true, _) => ("\x1b[1m", "\x1b[0m"),
                (true, false, true) => ("\x1b[31m", "\x1b[0m"),
                _ => ("", ""),
            };
            if n > 0 {
                line.push(' ');
            }
            if columns[*at].fit == Fit::Number {
                line.extend([&*padding, on, &text, off]);
            } else {
                line.extend([on, &text, off, &*padding]);
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::from(column.title.to_owned())).collect();
    std::iter::once(line(&titles, true)).chain(rows.iter().map(|row| line(row, false))).collect()
}

/// Shares what is left among names: who needs less than an even share leaves the rest to the others.
fn share(widths: &mut [usize], mut names: Vec<usize>, mut left: usize) {
    names.sort_by_key(|place| widths[*place]);
    let mut waiting = names.len();
    for place in names {
        widths[place] = widths[place].min((left / waiting).max(LEAST));
        left = left.saturating_sub(widths[place]);
        waiting -= 1;
    }
}

/// A text in so many columns; the dots stand for what is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let next = at + character.len_utf8();
        if text[..next].width() + 1 > width {
            break;
        }
        end = next;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "CLIENT", fit: Fit::Name, from: 0 },
        Column { title: "SERVER", fit: Fit::Name, from: 0 },
        Column { title: "PROTOCOL", fit: Fit::Word, from: 60 },
        Column { title: "RATE", fit: Fit::Number, from: 0 },
    ];

    fn row(client: &str, server: &str) -> Vec<Cell> {
        [client, server, "http", "12.5"].map(|text| Cell::from(text.to_owned())).into()
    }

    #[test]
    fn names_give_way_and_columns_go_where_there_is_no_room() {
        let rows = [row("a", &"s".repeat(60)), row("\u{4e00}\u{4e01}\u{4e02}", "redis")];
        for width in [20, 40, 59, 60, 80, 200] {
            for line in lines(&COLUMNS, &rows, Some(width), false) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        let narrow = lines(&COLUMNS, &rows, Some(30), false);
        assert_eq!(narrow[0], "CLIENT SERVER             RATE");
        assert_eq!(narrow[1], "a      sssssssssssssssss… 12.5");
        let wide = lines(&COLUMNS, &rows, None, false);
        assert!(wide[1].contains(&"s".repeat(60)) && wide[0].contains("PROTOCOL"), "{wide:?}");
        assert_eq!(lines(&COLUMNS, &[], Some(10), false).len(), 1);
    }

    #[test]
    fn a_wide_character_is_not_cut_in_two() {
        assert_eq!(cut("\u{4e00}\u{4e01}\u{4e02}", 4), "\u{4e00}…");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn colours_are_there_only_when_they_are_wanted() {
        let mut row = row("a", "b");
        row[3] = Cell { text: "9%".into(), bad: true };
        let rows = [row];
        assert!(lines(&COLUMNS, &rows, Some(80), true)[1].ends_with("\x1b[31m9%\x1b[0m"));
        assert!(lines(&COLUMNS, &rows, Some(80), false).iter().all(|line| !line.contains('\x1b')));
    }
}
