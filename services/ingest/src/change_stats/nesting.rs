//! How deeply nested the lines are that a change adds: their indentation, in levels.
//!
//! Indentation goes with the number of branches that enclose a line, in every language that people indent, and needs no parser
//! (Hindle, Godfrey, Holt: *Reading beside the lines*, ICPC 2008). A level is a tab, or as many spaces as the file itself uses:
//! four where nine of ten of its lines that are indented by spaces are so by multiples of four, else two.
//! Blank lines do not count, nor do files that are no code.

use auspex_proto::event::ChangeComplexity;

/// Extensions of code.
const CODE: [&str; 46] = [
    "rs", "go", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "m", "mm", "java", "kt", "kts", "scala", "groovy",
    "clj", "cs", "fs", "vb", "swift", "dart", "py", "pyx", "rb", "pl", "pm", "php", "lua", "r", "jl", "js",
    "jsx", "mjs", "cjs", "ts", "tsx", "vue", "svelte", "ex", "exs", "erl", "hs", "ml", "sh", "zig",
];

/// Reads a patch without context (`git diff-tree -p -U0`), line by line.
#[derive(Debug, Clone, Default)]
pub struct Nesting {
    /// Lines that the hunk still has to remove and to add: within them nothing is a head.
    left: (u64, u64),
    file: Option<File>,
    /// Over all files: lines, levels, and their squares.
    lines: f64,
    sum: f64,
    squares: f64,
}

/// The added lines of one file, by indentation.
#[derive(Debug, Clone, Default)]
struct File {
    /// Lines by (tabs, spaces), the deepest counted as [`DEEPEST`].
    indents: std::collections::BTreeMap<(usize, usize), u64>,
}

/// No code is nested deeper, in tabs or spaces: what is is data.
const DEEPEST: usize = 200;

impl Nesting {
    /// The next line, with or without its end.
    pub fn line(&mut self, line: &[u8]) {
        match (line.first(), &mut self.left) {
            (Some(b'-'), (removed, _)) if *removed > 0 => *removed -= 1,
            (Some(b'+'), (0, added)) if *added > 0 => {
                *added -= 1;
                if let Some(file) = &mut self.file {
                    file.line(line.get(1..).unwrap_or_default());
                }
            }
            _ if line.starts_with(b"@@ ") => self.left = hunk(line).unwrap_or_default(),
            _ if line.starts_with(b"diff --git ") => self.close(),
            _ if line.starts_with(b"+++ ") => {
                self.close();
                self.file = is_code(line).then(File::default);
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let Some(file) = self.file.take() else { return };
        let unit = file.unit();
        for ((tabs, spaces), lines) in file.indents {
            let (levels, lines) = (tabs as f64 + spaces as f64 / unit, lines as f64);
            self.lines += lines;
            self.sum += lines * levels;
            self.squares += lines * levels * levels;
        }
    }

    /// What it comes to; `None` when no line of code was added.
    #[must_use]
    pub fn complexity(mut self) -> Option<ChangeComplexity> {
        self.close();
        (self.lines > 0.0).then(|| {
            let mean = self.sum / self.lines;
            ChangeComplexity {
                sum: self.sum,
                mean,
                deviation: (self.squares / self.lines - mean * mean).max(0.0).sqrt(),
            }
        })
    }
}

impl File {
    fn line(&mut self, line: &[u8]) {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let Some(length) = line.iter().position(|byte| !blank(byte)) else {
            return;
        };
        let indent = line.get(..length).unwrap_or_default();
        let tabs = indent.iter().filter(|byte| **byte == b'\t').count();
        let place = (tabs.min(DEEPEST), (length - tabs).min(DEEPEST));
        *self.indents.entry(place).or_default() += 1;
    }

    /// Spaces of a level.
    fn unit(&self) -> f64 {
        let count = |of: fn(usize) -> bool| -> u64 {
            let found = self.indents.iter().filter(|((_, spaces), _)| of(*spaces));
            found.map(|(_, lines)| lines).sum()
        };
        let (all, fours) = (count(|n| n > 0), count(|n| n > 0 && n.is_multiple_of(4)));
        if fours * 10 >= all * 9 { 4.0 } else { 2.0 }
    }
}

/// Lines removed and added: `@@ -12,3 +14 @@`.
fn hunk(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = text.split(' ').skip(1);
    let mut count = |sign: char| -> Option<u64> {
        let range = words.next()?.strip_prefix(sign)?;
        range.split_once(',').map_or(Some(1), |(_, n)| n.parse().ok())
    };
    Some((count('-')?, count('+')?))
}

/// Whether the file of a head `+++ b/PATH` is code. A path with odd bytes in it stands in quotes.
fn is_code(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let path = head.trim_end_matches(['\n', '\t', '"']);
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| CODE.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complexity(patch: &str) -> Option<ChangeComplexity> {
        let mut nesting = Nesting::default();
        patch
            .split_inclusive('\n')
            .for_each(|line| nesting.line(line.as_bytes()));
        nesting.complexity()
    }

    fn patch(path: &str, added: &str) -> String {
        let lines: String = added.lines().map(|line| format!("+{line}\n")).collect();
        format!(
            "diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -3,0 +4,{} @@ fn\n{lines}",
            added.lines().count()
        )
    }

    #[test]
    fn a_level_is_what_the_file_says() {
        let levels = |text: &str| complexity(&patch("a.rs", text)).unwrap();
        assert_eq!(levels("a\n    b\n        c\n").mean, 1.0);
        assert_eq!(levels("a\n  b\n    c\n").mean, 1.0);
        assert_eq!(levels("a\n\tb\n\t\tc\n").mean, 1.0);
        assert_eq!(levels("a\n\n   \n").mean, 0.0, "blank lines do not count");
        let both = levels("a\n    b\n        c\n");
        assert_eq!(both.sum, 3.0);
        assert!((both.deviation - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn only_code_that_is_added_counts() {
        assert_eq!(complexity(&patch("README.md", "    a\n")), None);
        assert_eq!(complexity(&patch("data.json", "    a\n")), None);
        assert_eq!(complexity(""), None);
        let removed =
            "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +0,0 @@\n-        a\n-        b\n";
        assert_eq!(complexity(removed), None);
        let all = patch("src/a b.py", "x\n") + &patch("Main.JAVA", "\t\ty\n") + removed;
        assert_eq!(complexity(&all).unwrap().mean, 1.0);
    }

    #[test]
    fn what_looks_like_a_head_within_a_hunk_is_a_line() {
        let text = "++ b/other.md\n@@ -1 +1 @@\n        deep\n";
        let got = complexity(&patch("a.c", text)).unwrap();
        assert_eq!((got.sum, got.mean), (2.0, 2.0 / 3.0));
        let removed = "diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +1 @@\n--- b/x.c\n-y\n+    z\n\\ No newline at end of file\n";
        assert_eq!(complexity(removed).unwrap().sum, 1.0);
    }
}
