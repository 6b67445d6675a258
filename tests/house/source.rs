//! A source file, read just far enough for the rules: comments and text apart from code, tests
//! apart from the product, and which of the crate's modules it names.

/// A source file.
pub(crate) struct Source {
    /// Its path from the repository's root.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// The same with comments, strings and characters left out; lines stay where they are.
    pub(crate) code: String,
    /// Compiled for tests only, by the words of the module that declares it.
    pub(crate) for_tests: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.replace('\\', "/"),
            text: text.to_owned(),
            code: code(text),
            for_tests: false,
        }
    }

    /// The files of modules that are declared here and compiled for tests only.
    pub(crate) fn modules_for_tests(&self) -> Vec<String> {
        let below = self.path.trim_end_matches(".rs");
        let below = below.strip_suffix("/lib").unwrap_or(below);
        let declared = self.code.split("#[cfg(test)]").skip(1);
        declared
            .filter_map(|item| item.split(['{', ';']).next())
            .filter_map(|item| item.split_once("mod "))
            .map(|(_, name)| format!("{below}/{}.rs", name.trim()))
            .collect()
    }

    /// The top-level module it is part of: `model` for `src/model/id.rs`.
    pub(crate) fn module(&self) -> &str {
        let Some(rest) = self.path.strip_prefix("src/") else {
            return "";
        };
        let first = rest.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether it is part of what is shipped.
    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("src/") && !self.for_tests
    }

    /// The code without modules that are compiled for tests only.
    pub(crate) fn product_code(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = end_of_item(&code, start);
            code.replace_range(start..end, "");
        }
        code
    }

    /// Its functions with a body, and how many lines each takes.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let starts = self.code.match_indices("fn ").filter(|(at, _)| {
            let whole_word = !self.code[..*at].ends_with(is_of_word);
            whole_word && self.code[at + 3..].starts_with(is_of_word)
        });
        starts
            .filter_map(|(at, _)| {
                let name = words(&self.code[at + 3..]).next()?.to_owned();
                let body = at + body_of(&self.code[at..])?;
                let end = end_of_item(&self.code, body);
                Some((name, self.code[at..end].lines().count()))
            })
            .collect()
    }

    /// Top-level modules of the crate that the code names: by `crate::`, `tidewire::`, or by as
    /// many `super::` as lead to the root.
    pub(crate) fn modules_named(&self) -> Vec<String> {
        let mut named = Vec::new();
        for root in ["crate::", "tidewire::"] {
            for (at, _) in self.code.match_indices(root) {
                let whole_word = !self.code[..at].ends_with(is_of_word);
                if whole_word {
                    named.extend(heads(&self.code[at + root.len()..]));
                }
            }
        }
        let depth = self.path.split('/').count() - 1;
        let to_root = "super::".repeat(depth);
        for (at, _) in self.code.match_indices(&to_root) {
            named.extend(heads(&self.code[at + to_root.len()..]));
        }
        named
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of a piece of code.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_of_word(c))
        .filter(|word| !word.is_empty())
}

/// The first names of a path: one, or each of a group in braces.
fn heads(path: &str) -> Vec<String> {
    let head = |path: &str| words(path).next().map(ToOwned::to_owned);
    let Some(group) = path.strip_prefix('{') else {
        return head(path).into_iter().collect();
    };
    let mut depth = 0_usize;
    let mut entries = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => entries.push(String::new()),
            c => {
                depth = match c {
                    '{' => depth + 1,
                    '}' => depth - 1,
                    _ => depth,
                };
                entries.last_mut().expect("there is one").push(c);
            }
        }
    }
    entries.iter().filter_map(|entry| head(entry)).collect()
}

/// Where a function's body begins; none where it is only declared.
fn body_of(function: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in function.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the item that begins at `start` ends: at its closing brace, or at a semicolon before one.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            ';' if depth == 0 => return start + at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return start + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Leaves out comments, strings and characters.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skip(rest, code.ends_with(is_of_word));
        let step = match skipped {
            0 => {
                code.push(first);
                first.len_utf8()
            }
            length => {
                code.extend(rest[..length].chars().filter(|c| *c == '\n'));
                length
            }
        };
        rest = &rest[step..];
    }
    code
}

/// How long the comment, string or character is that begins here; 0 if none does.
fn skip(rest: &str, within_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if let Some(after) = rest.strip_prefix('r')
        && !within_word
    {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            return rest[body..]
                .find(&end)
                .map_or(rest.len(), |at| body + at + end.len());
        }
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    // A character, not a lifetime: 'x' or '\...'.
    let mut chars = rest.chars();
    if chars.next() == Some('\'') {
        let escaped = chars.next() == Some('\\');
        if escaped || chars.next() == Some('\'') {
            return quoted(rest, '\'');
        }
    }
    0
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
