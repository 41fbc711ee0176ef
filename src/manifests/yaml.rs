//! Readable, stable YAML: a file is a comment and documents, a document a Kubernetes object. Field order is that of the
//! types, never of a hash map.

use serde::Serialize;
use serde_saphyr::SerializerOptions;

/// An object that YAML has no words for.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be written as YAML: {reason}; this is a defect, report it")]
pub struct Unwritable {
    /// The file it was for.
    pub file: String,
    /// What the serializer said.
    pub reason: String,
}

/// One YAML file that is growing.
#[derive(Debug)]
pub struct Documents {
    name: String,
    text: String,
    count: usize,
}

impl Documents {
    /// A file that opens with a comment, one `#` a line.
    pub fn new(name: &str, comment: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: as_comment(comment),
            count: 0,
        }
    }

    /// Adds one document.
    pub fn push<T: Serialize>(&mut self, document: &T) -> Result<(), Unwritable> {
        if self.count > 0 {
            self.text.push_str("---\n");
        }
        self.count += 1;
        let text = self.write(document)?;
        self.text.push_str(&text);
        Ok(())
    }

    /// Adds one document with a comment above it.
    pub fn push_explained<T: Serialize>(&mut self, comment: &str, document: &T) -> Result<(), Unwritable> {
        self.text.push_str(if self.count > 0 { "---\n" } else { "" });
        self.text.push_str(&as_comment(comment));
        self.count = 0;
        self.push(document)
    }

    /// Adds one document that ends in a list, each item with its own comment above it.
    pub fn push_listing<H: Serialize, I: Serialize>(
        &mut self,
        head: &H,
        key: &str,
        items: &[(String, I)],
    ) -> Result<(), Unwritable> {
        self.push(head)?;
        self.text.push_str(key);
        self.text.push_str(":\n");
        for (comment, item) in items {
            self.text.push_str(&as_comment(comment));
            let text = self.write(&[item])?;
            self.text.push_str(&text);
        }
        Ok(())
    }

    fn write<T: Serialize>(&self, value: &T) -> Result<String, Unwritable> {
        serde_saphyr::to_string_with_options(value, options()).map_err(|error| Unwritable {
            file: self.name.clone(),
            reason: error.to_string(),
        })
    }

    /// Its text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Text as YAML comment lines, at most 120 characters each, wrapped at spaces; lines of the text stay lines.
pub fn as_comment(text: &str) -> String {
    const WIDTH: usize = 118;
    let mut comment = String::new();
    for line in text.lines() {
        let mut width = 0;
        comment.push('#');
        // What is indented is an example and stays as it is.
        if line.starts_with(' ') {
            comment.push(' ');
            comment.push_str(line);
            comment.push('\n');
            continue;
        }
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if width > 0 && width + 1 + word.len() > WIDTH {
                comment.push_str("\n#");
                width = 0;
            }
            comment.push(' ');
            comment.push_str(word);
            width += 1 + word.len();
        }
        comment.push('\n');
    }
    comment
}

fn options() -> SerializerOptions {
    serde_saphyr::ser_options! { folded_wrap_chars: 110 }
}
