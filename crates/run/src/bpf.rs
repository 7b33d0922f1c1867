//! A small assembler for classic BPF, as seccomp runs it: loads of one 32-bit word, comparisons with a constant, returns.
//!
//! Jumps name labels; [`Assembler::finish`] turns them into distances. The kernel checks the program once more when it is loaded.

use libc::sock_filter;

/// Load the 32-bit word at an offset of `seccomp_data`.
const LD_W_ABS: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
/// Jump if the accumulator equals the constant.
const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
/// Jump if the accumulator is at least the constant, unsigned.
const JGE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
/// Return the constant.
const RET: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// An instruction whose jump is not resolved yet.
struct Line {
    code: u16,
    k: u32,
    taken: Option<Label>,
}

/// A program under construction.
#[derive(Default)]
pub(crate) struct Assembler {
    lines: Vec<Line>,
    labels: Vec<Option<usize>>,
}

impl Assembler {
    /// A label to be placed later.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts the label here.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.lines.len());
    }

    /// Loads the word at `offset`.
    pub(crate) fn load(&mut self, offset: u32) {
        self.push(LD_W_ABS, offset, None);
    }

    /// Goes to `label` if the loaded word is `value`.
    pub(crate) fn jump_if_equal(&mut self, value: u32, label: Label) {
        self.push(JEQ, value, Some(label));
    }

    /// Goes to `label` if the loaded word is `value` or more.
    pub(crate) fn jump_if_at_least(&mut self, value: u32, label: Label) {
        self.push(JGE, value, Some(label));
    }

    /// Ends with this answer.
    pub(crate) fn answer(&mut self, action: u32) {
        self.push(RET, action, None);
    }

    fn push(&mut self, code: u16, k: u32, taken: Option<Label>) {
        self.lines.push(Line { code, k, taken });
    }

    /// The program with its jumps resolved.
    ///
    /// # Panics
    /// If a label was never placed, lies behind its jump, or further than 255 instructions away: mistakes of this crate, not of
    /// any input.
    pub(crate) fn finish(self) -> Vec<sock_filter> {
        let Self { lines, labels } = self;
        let resolve = |at: usize, label: Label| {
            let target =
                labels[label.0].expect("every label is placed before the program is finished");
            let distance = target.checked_sub(at + 1).expect("BPF jumps forward only");
            u8::try_from(distance).expect("BPF jumps reach 255 instructions")
        };
        lines
            .iter()
            .enumerate()
            .map(|(at, line)| sock_filter {
                code: line.code,
                jt: line.taken.map_or(0, |label| resolve(at, label)),
                jf: 0,
                k: line.k,
            })
            .collect()
    }
}

/// Runs a program over the octets of a `seccomp_data`: what the kernel does, for the tests.
#[cfg(test)]
pub(crate) fn run(program: &[sock_filter], data: &[u8]) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let line = program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { line.jt } else { line.jf });
        match line.code {
            LD_W_ABS => {
                let from = line.k as usize;
                accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
            }
            JEQ => at += jump(accumulator == line.k),
            JGE => at += jump(accumulator >= line.k),
            RET => return line.k,
            code => panic!("instruction {code:#x} is not one that the assembler makes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_skip_what_lies_between() {
        let mut a = Assembler::default();
        let (seven, more) = (a.label(), a.label());
        a.load(4);
        a.jump_if_equal(7, seven);
        a.jump_if_at_least(100, more);
        a.answer(1);
        a.place(seven);
        a.answer(2);
        a.place(more);
        a.answer(3);
        let program = a.finish();
        let answer = |word: u32| {
            let mut data = [0; 8];
            data[4..].copy_from_slice(&word.to_ne_bytes());
            run(&program, &data)
        };
        assert_eq!(
            [
                answer(6),
                answer(7),
                answer(99),
                answer(100),
                answer(u32::MAX)
            ],
            [1, 2, 1, 3, 3]
        );
    }
}
