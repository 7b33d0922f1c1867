//! From text to words (RFC 4506 §6.2), without comments, `%` lines and what `#if` leaves out.

use crate::error::{Error, Place};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    Number(i64),
    /// In double quotes, without escapes.
    Text(String),
    /// One of `{ } ( ) < > [ ] * , ; : =`.
    Sign(char),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) at: Place,
    pub(crate) kind: Kind,
}

/// What is said of a directive that asks for more than is done here.
const CPP: &str = "is not read here: run cpp -P over the file first";

/// A source as it is parsed.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    /// Numbers that `%#define` gives a name in C.
    pub(crate) of_c: Vec<(String, i64)>,
}

struct Scanner<'a> {
    file: &'a str,
    source: Source,
    defined: Vec<String>,
    /// One for each open `#if`: whether it holds, and where it stands.
    conditions: Vec<(bool, Place)>,
    /// Where a comment began that has not ended.
    comment: Option<Place>,
}

pub(crate) fn scan(file: &str, source: &str, defines: &[String]) -> Result<Source, Error> {
    let mut scanner = Scanner {
        file,
        source: Source::default(),
        defined: defines.to_vec(),
        conditions: Vec::new(),
        comment: None,
    };
    let mut end = Place { line: 1, column: 1 };
    for (number, line) in (1..).zip(source.lines()) {
        scanner.line(number, line)?;
        end = Place {
            line: number,
            column: line.chars().count() + 1,
        };
    }
    if let Some(began) = scanner.comment {
        return Err(Error::at(file, began, "this comment has no end"));
    }
    if let Some((_, began)) = scanner.conditions.last() {
        return Err(Error::at(file, *began, "this condition has no #endif"));
    }
    let kind = Kind::End;
    scanner.push(end, kind);
    Ok(scanner.source)
}

impl Scanner<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Error> {
        let start = Place {
            line: number,
            column: 1,
        };
        if self.comment.is_none() {
            if let Some(of_c) = line.strip_prefix('%') {
                let _ = self.define_in_c(of_c);
                return Ok(());
            }
            if let Some(directive) = line.trim_start().strip_prefix('#') {
                return self.directive(start, directive);
            }
        }
        if self.conditions.iter().any(|(holds, _)| !holds) {
            return Ok(());
        }
        self.words(number, line)
    }

    fn words(&mut self, line: usize, text: &str) -> Result<(), Error> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let place = Place {
                line,
                column: at + 1,
            };
            let next = chars.get(at + 1).copied();
            match chars[at] {
                '*' if self.comment.is_some() && next == Some('/') => {
                    self.comment = None;
                    at += 2;
                }
                _ if self.comment.is_some() => at += 1,
                '/' if next == Some('*') => {
                    self.comment = Some(place);
                    at += 2;
                }
                '/' if next == Some('/') => return Ok(()),
                c if c.is_whitespace() => at += 1,
                c if c.is_ascii_alphabetic() || c == '_' => {
                    let word = run(&chars[at..], |c| c.is_ascii_alphanumeric() || c == '_');
                    at += word.len();
                    self.push(place, Kind::Word(word));
                }
                c if c.is_ascii_digit() || c == '-' => {
                    let rest = run(&chars[at + 1..], |c| c.is_ascii_alphanumeric());
                    let text = format!("{c}{rest}");
                    at += text.len();
                    let number = number(&text).ok_or_else(|| {
                        Error::at(self.file, place, format!("'{text}' is no number"))
                    })?;
                    self.push(place, Kind::Number(number));
                }
                '"' => {
                    let text = run(&chars[at + 1..], |c| c != '"' && c != '\\');
                    at += text.chars().count() + 2;
                    if chars.get(at - 1) != Some(&'"') {
                        return Err(Error::at(self.file, place, "this text has no end"));
                    }
                    self.push(place, Kind::Text(text));
                }
                c if "{}()<>[]*,;:=".contains(c) => {
                    at += 1;
                    self.push(place, Kind::Sign(c));
                }
                c => {
                    let message = format!("'{c}' is nothing in this language");
                    return Err(Error::at(self.file, place, message));
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, at: Place, kind: Kind) {
        self.source.tokens.push(Token { at, kind });
    }

    /// What cpp would have done, as far as interfaces use it.
    fn directive(&mut self, at: Place, text: &str) -> Result<(), Error> {
        let text = text.split("/*").next().unwrap_or(text);
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or("");
        let argument = words.next().unwrap_or("");
        let is_defined = self.defined.iter().any(|d| d == argument);
        let wrong = |message: String| Err(Error::at(self.file, at, message));
        match name {
            "ifdef" => self.conditions.push((is_defined, at)),
            "ifndef" => self.conditions.push((!is_defined, at)),
            "if" => {
                let condition: String = text.split_whitespace().skip(1).collect();
                match self.holds(&condition) {
                    Some(holds) => self.conditions.push((holds, at)),
                    None => return wrong(format!("#if {condition} {CPP}")),
                }
            }
            "else" | "endif" if self.conditions.is_empty() => {
                return wrong(format!("this #{name} has no #ifdef"));
            }
            "else" => {
                if let Some((holds, _)) = self.conditions.last_mut() {
                    *holds = !*holds;
                }
            }
            "endif" => {
                self.conditions.pop();
            }
            _ if self.conditions.iter().any(|(holds, _)| !holds) => {}
            "define" => self.define(at, argument, words.next()),
            // A mark of cpp's own, of which line it is; and what is for C compilers.
            "" | "ident" | "pragma" | "undef" | "line" => {}
            number if number.starts_with(|c: char| c.is_ascii_digit()) => {}
            other => {
                return wrong(format!("#{other} {CPP}"));
            }
        }
        Ok(())
    }

    /// Whether a condition holds that is a number, a name, or asks whether that is defined.
    fn holds(&self, condition: &str) -> Option<bool> {
        if let Some(rest) = condition.strip_prefix('!') {
            return Some(!self.holds(rest)?);
        }
        if let Some(number) = number(condition) {
            return Some(number != 0);
        }
        let name = condition
            .strip_prefix("defined")
            .map(|name| name.trim_start_matches('(').trim_end_matches(')'));
        let name = name.unwrap_or(condition);
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| self.defined.iter().any(|d| d == name))
    }

    /// Takes a name that a line of C gives to a number, or to a sum of numbers and such names.
    fn define_in_c(&mut self, line: &str) -> Option<()> {
        let line = line.split("/*").next()?.trim().strip_prefix("#define")?;
        let (name, sum) = line.trim_start().split_once(char::is_whitespace)?;
        let of_c = &mut self.source.of_c;
        let one = |summand: &str| {
            let known = of_c.iter().find(|(name, _)| name == summand.trim());
            known.map_or_else(|| number(summand.trim()), |(_, number)| Some(*number))
        };
        let numbers: Option<Vec<i64>> = sum.split('+').map(one).collect();
        let sum = numbers?.into_iter().try_fold(0, i64::checked_add)?;
        of_c.push((name.into(), sum));
        Some(())
    }

    /// `#define NAME NUMBER` is a constant; any other only defines the name.
    fn define(&mut self, at: Place, name: &str, value: Option<&str>) {
        self.defined.push(name.into());
        let Some(number) = value.and_then(number) else {
            return;
        };
        let definition = [
            Kind::Word("const".into()),
            Kind::Word(name.into()),
            Kind::Sign('='),
            Kind::Number(number),
            Kind::Sign(';'),
        ];
        for kind in definition {
            self.push(at, kind);
        }
    }
}

fn run(chars: &[char], belongs: impl Fn(char) -> bool) -> String {
    chars.iter().copied().take_while(|c| belongs(*c)).collect()
}

/// RFC 4506 §6.2 (4) to (6).
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let value = match hex {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => {
            i64::from_str_radix(digits, 8).ok()?
        }
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    Some(if negative { -value } else { value })
}
