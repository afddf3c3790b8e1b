//! The `name=value` words of a header: each taken at most once, none left over.

use std::str::FromStr;

/// More than any record has.
const MOST: usize = 16;

pub(super) struct Fields<'a> {
    words: [Option<(&'a str, &'a str)>; MOST],
}

impl<'a> Fields<'a> {
    pub(super) fn parse(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut fields = Fields { words: [None; MOST] };
        for (i, word) in words.enumerate() {
            // Names are of a few bytes, too few for what `split_once` makes of it.
            let (name, value) = match word.bytes().position(|byte| byte == b'=') {
                Some(at) => (&word[..at], &word[at + 1..]),
                None => return Err(format!("{word:?} is not name=value")),
            };
            *fields.words.get_mut(i).ok_or("too many fields")? = Some((name, value));
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let word = self.words.iter_mut().find(|word| word.is_some_and(|(n, _)| n == name))?;
        word.take().map(|(_, value)| value)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<&'a str, String> {
        self.take(name).ok_or_else(|| format!("{name}= is missing"))
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        number(name, self.text(name)?)
    }

    pub(super) fn optional_number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.take(name).map(|value| number(name, value)).transpose()
    }

    pub(super) fn hex(&mut self, name: &str) -> Result<u64, String> {
        hex(name, self.text(name)?)
    }

    pub(super) fn optional_hex(&mut self, name: &str) -> Result<Option<u64>, String> {
        self.take(name).map(|value| hex(name, value)).transpose()
    }

    /// `i/n` with 1 ≤ i ≤ n.
    pub(super) fn of(&mut self, name: &str) -> Result<Option<(u32, u32)>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let (i, n) = value.split_once('/').ok_or_else(|| format!("{name}={value} is not i/n"))?;
        let (i, n) = (number(name, i)?, number(name, n)?);
        if i == 0 || i > n {
            return Err(format!("{name}={value} is not i/n"));
        }
        Ok(Some((i, n)))
    }

    /// A field nobody asked for is one this version does not know.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.words.iter().flatten().next() {
            Some((name, _)) => Err(format!("{name}= is not known here")),
            None => Ok(()),
        }
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}={value} is not a number"))
}

fn hex(name: &str, value: &str) -> Result<u64, String> {
    u64::from_str_radix(value, 16).map_err(|_| format!("{name}={value} is not hexadecimal"))
}
