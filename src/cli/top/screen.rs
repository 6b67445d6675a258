//! The terminal: the alternate screen, painted without flicker, and given back as it was, however
//! the view ends.

use std::fmt::Write as _;
use std::io::{self, Write as _, stdin, stdout};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::draw::{Ink, Line, Size};
use super::fleet::Tone;

/// The alternate screen, without cursor and without wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Terminals that know it show what is between the two at once; others ignore it.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// A place too small to be true is one that does not say.
const UNKNOWN: Size = Size {
    width: 80,
    height: 24,
};

/// A screen that is ours until it is dropped.
pub(super) struct Screen {
    colour: bool,
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal over. Keys are read one by one and not shown; Ctrl-C stays a signal.
    ///
    /// # Errors
    /// What the terminal says.
    pub(super) fn enter(colour: bool) -> io::Result<Self> {
        let before = termios::tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut keys = before.clone();
            keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            // Suspended, it would leave the shell on the alternate screen.
            keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
            // Reading answers at once, with what there is.
            keys.special_codes[SpecialCodeIndex::VMIN] = 0;
            keys.special_codes[SpecialCodeIndex::VTIME] = 0;
            termios::tcsetattr(stdin(), OptionalActions::Now, &keys)?;
        }
        let screen = Self { colour, before };
        put(ENTER)?;
        Ok(screen)
    }

    /// Its size now. The last column stays empty: a terminal that stands at its end may wipe it.
    #[must_use]
    pub(super) fn size(&self) -> Size {
        match termios::tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 1 && size.ws_row > 0 => Size {
                width: usize::from(size.ws_col) - 1,
                height: usize::from(size.ws_row),
            },
            _ => UNKNOWN,
        }
    }

    /// Paints over what was there.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn paint(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from(BEGIN);
        for (index, line) in lines.iter().enumerate() {
            let next = if index == 0 { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            write!(text, "{next}{}\x1b[K", inked(line, self.colour)).ok();
        }
        text += END;
        put(&text)
    }

    /// Whether somebody pressed `q` since the last time.
    #[must_use]
    pub(super) fn wants_to_quit(&self) -> bool {
        let mut keys = [0; 64];
        match (&self.before, rustix::io::read(stdin(), &mut keys)) {
            (Some(_), Ok(count)) => keys[..count].iter().any(|key| matches!(key, b'q' | b'Q')),
            _ => false,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        put(LEAVE).ok();
        if let Some(before) = &self.before {
            termios::tcsetattr(stdin(), OptionalActions::Now, before).ok();
        }
    }
}

/// A line with its colour, where there is colour.
pub(super) fn inked(line: &Line, colour: bool) -> String {
    let code = match line.ink {
        Ink::Head => "1",
        Ink::Plain(Tone::Bad) => "31",
        Ink::Plain(Tone::Warn) => "33",
        Ink::Plain(Tone::Well) => return line.text.clone(),
    };
    match colour {
        true => format!("\x1b[{code}m{}\x1b[0m", line.text),
        false => line.text.clone(),
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
