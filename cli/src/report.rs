//! Numbers and tables as people read them.

use std::fmt;
use tessera_engine::blocks::BorderReport;

/// Columns of text: the first flush left, the others flush right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the given heads.
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let width = |column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                line += &if column == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
            }
            let end = if number + 1 < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Names and what they stand for, one pair a line.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pairs: Vec<(String, String)>,
}

impl Facts {
    /// Adds a pair.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// Adds all pairs of others.
    pub fn extend(&mut self, others: Self) {
        self.pairs.extend(others.pairs);
    }

    /// Adds a pair when there is something to say.
    pub fn add_some(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (number, (name, value)) in self.pairs.iter().enumerate() {
            let end = if number + 1 < self.pairs.len() { "\n" } else { "" };
            write!(f, "{name:width$}  {value}{end}")?;
        }
        Ok(())
    }
}

/// How well the borders between blocks are hidden.
pub fn borders_text(report: &BorderReport) -> String {
    let BorderReport { near_psnr, elsewhere_psnr, near_share, width } = *report;
    format!(
        "borders between blocks: PSNR {near_psnr:.2} dB within {width:.3} of them ({:.0} % of the pixels), {elsewhere_psnr:.2} dB elsewhere",
        100.0 * near_share
    )
}

/// 1234567 as `1,234,567`.
pub fn count(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// [`count`] of how many things there are.
pub fn count_of(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u128), if number == 1 { one } else { many })
}

/// Bytes with a binary unit.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (number as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Seconds as `8.4 s`, `4:05` or `1:02:03`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!([0_u64, 12, 123, 1234, 1_234_567].map(count), ["0", "12", "123", "1,234", "1,234,567"]);
        assert_eq!(count_of(1, "photo", "photos") + ", " + &count_of(2000, "photo", "photos"), "1 photo, 2,000 photos");
    }

    #[test]
    fn bytes_and_durations_are_short() {
        assert_eq!([900, 2048, 3 << 30].map(bytes), ["900 B", "2.0 KiB", "3.0 GiB"]);
        assert_eq!([0.04, 59.9, 60.2, 3723.0, f64::NAN].map(duration), ["0.0 s", "59.9 s", "1:00", "1:02:03", "?"]);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["image", "PSNR"]);
        table.row(["a.png".into(), "9.50".into()]);
        table.row(["long.png".into(), "31.25".into()]);
        assert_eq!(table.to_string(), "image      PSNR\na.png      9.50\nlong.png  31.25");
    }
}
