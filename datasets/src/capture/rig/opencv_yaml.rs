//! OpenCV's FileStorage in YAML 1.0, as far as calibrations use it: numbers, words, lists of words and matrices.
//!
//! It begins with `%YAML:1.0`, which is no YAML, so a YAML parser refuses it. Keys stand at the beginning of a line.

use std::collections::HashMap;

/// What is under a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A number or a word.
    Scalar(String),
    /// Words or numbers.
    List(Vec<String>),
    /// `data` by rows.
    Matrix { rows: usize, columns: usize, data: Vec<f64> },
}

/// All keys of a file.
#[derive(Debug, Default)]
pub(super) struct Document(HashMap<String, Node>);

impl Document {
    /// # Errors
    /// The end of a sentence that begins with the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut nodes = HashMap::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let line = without_comment(line);
            if line.trim().is_empty() || line.starts_with('%') || line.starts_with("---") || line.starts_with("...") {
                continue;
            }
            let wrong = |what: &str| format!("cannot be read in line {} ({what})", number + 1);
            if line.starts_with([' ', '\t', '-']) {
                return Err(wrong("it belongs to no key"));
            }
            let (key, value) = line.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
            let mut body = value.trim().to_owned();
            // What belongs to the key: indented lines, and lists, which need not be indented.
            while let Some((_, next)) = lines.next_if(|(_, next)| {
                next.starts_with([' ', '\t'])
                    || (next.starts_with('-') && !next.starts_with("---"))
                    || next.trim().is_empty()
            }) {
                body.push('\n');
                body.push_str(without_comment(next).trim());
            }
            nodes.insert(unquoted(key).to_owned(), node(&body).map_err(|what| wrong(&what))?);
        }
        Ok(Self(nodes))
    }

    /// The words of a list, or one word.
    pub(super) fn words(&self, key: &str) -> Option<Vec<String>> {
        match self.0.get(key)? {
            Node::List(words) => Some(words.clone()),
            Node::Scalar(word) => Some(vec![word.clone()]),
            Node::Matrix { .. } => None,
        }
    }

    /// A number.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Node::Scalar(text) => parse_number(text),
            Node::Matrix { data, .. } if data.len() == 1 => Some(data[0]),
            _ => None,
        }
    }

    /// A matrix with its rows and columns, by rows.
    pub(super) fn matrix(&self, key: &str) -> Option<(usize, usize, &[f64])> {
        match self.0.get(key)? {
            Node::Matrix { rows, columns, data } => Some((*rows, *columns, data)),
            _ => None,
        }
    }
}

fn node(body: &str) -> Result<Node, String> {
    if let Some(fields) = body.strip_prefix("!!opencv-matrix") {
        return matrix(fields);
    }
    if let Some(inside) = body.strip_prefix('[') {
        let inside = inside.trim_end().strip_suffix(']').ok_or("a list has no end")?;
        let items = inside.split([',', '\n']).map(|item| unquoted(item).to_owned());
        return Ok(Node::List(items.filter(|item| !item.is_empty()).collect()));
    }
    let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_some_and(|first| first.starts_with('-') && parse_number(first).is_none()) {
        let item = |line: &str| line.strip_prefix('-').map(|item| unquoted(item).to_owned());
        return lines.map(item).collect::<Option<_>>().map(Node::List).ok_or_else(|| "a list is damaged".to_owned());
    }
    Ok(Node::Scalar(unquoted(body).to_owned()))
}

fn matrix(fields: &str) -> Result<Node, String> {
    let field = |name: &str| {
        fields.lines().find_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim))
    };
    let size = |name: &str| {
        let text = field(name).ok_or_else(|| format!("a matrix has no {name}"))?;
        text.parse::<usize>().map_err(|_| format!("a matrix has {text} {name}"))
    };
    let (rows, columns) = (size("rows")?, size("cols")?);
    let data = fields.split_once('[').and_then(|(_, data)| data.split_once(']')).ok_or("a matrix has no data")?.0;
    let numbers = data.split([',', '\n', ' ']).map(str::trim).filter(|text| !text.is_empty());
    let data: Option<Vec<f64>> = numbers.map(parse_number).collect();
    let data = data.ok_or("a matrix holds something else than numbers")?;
    if Some(data.len()) != rows.checked_mul(columns) {
        return Err(format!("a matrix of {rows} rows and {columns} columns has {} numbers", data.len()));
    }
    Ok(Node::Matrix { rows, columns, data })
}

/// OpenCV writes `1.`, `.Inf` and `.Nan`.
fn parse_number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn without_comment(line: &str) -> &str {
    let comment = line.find(" #").or_else(|| line.starts_with('#').then_some(0));
    &line[..comment.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = "%YAML:1.0\r\n---\r\nnames:\r\n  - \"00\"\r\n  - '01'\r\nK_00: !!opencv-matrix\r\n  rows: 3\r\n  \
        cols: 3\r\n  dt: d\r\n  data: [ 1000., 0., 5.0e+02, 0.,\r\n      1001., 300., 0., 0., 1. ]\r\nH_00: 600.0\r\n# end\r\n";

    #[test]
    fn matrices_lists_and_numbers_are_read_as_opencv_writes_them() {
        let document = Document::parse(SAMPLE).expect("valid");
        assert_eq!(document.words("names"), Some(vec!["00".to_owned(), "01".to_owned()]));
        let expected = [1000.0, 0.0, 500.0, 0.0, 1001.0, 300.0, 0.0, 0.0, 1.0];
        assert_eq!(document.matrix("K_00"), Some((3, 3, &expected[..])));
        assert_eq!(document.number("H_00"), Some(600.0));
        let flush = Document::parse("names:\n- a\n- b\nshort: [ x, \"y\" ]\nt: -1.5\n").expect("valid");
        assert_eq!(flush.words("names"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(flush.words("short"), Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(flush.number("t"), Some(-1.5));
    }

    #[test]
    fn what_is_damaged_is_said_with_its_line() {
        let bad = [
            ("a: 1\nK: !!opencv-matrix\n  rows: 3\n  cols: 3\n  data: [1, 2]\n", "line 2 (a matrix of 3 rows"),
            ("K: !!opencv-matrix\n  rows: 99999999999999999999\n", "line 1 (a matrix has 99999999999999999999 rows"),
            ("K: !!opencv-matrix\n  rows: 9999999999999\n  cols: 9999999999999\n  data: []\n", "has 0 numbers"),
            ("K: !!opencv-matrix\n  rows: 1\n  cols: 1\n  data: [.Nan]\n", "something else than numbers"),
            ("words\n", "line 1 (there is no colon)"),
            ("  lost: 1\n", "line 1 (it belongs to no key)"),
        ];
        for (text, words) in bad {
            let error = Document::parse(text).expect_err(text);
            assert!(error.contains(words), "'{words}' is not in: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-%a-z_0-9:\\[\\], \n.\"!#\t]{0,200}", at in 0..400usize) {
            let _ = Document::parse(&text);
            let mut spoiled = SAMPLE.to_owned();
            spoiled.insert_str(at % SAMPLE.len(), &text);
            let _ = Document::parse(&spoiled);
        }
    }
}
