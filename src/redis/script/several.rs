//! The scripts for several keys at once, see `lua/inc_all.lua`.

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::redis::script::parts::{
    ADD, DECLINE, END, INC_ALL, JUDGE, KEEP, KEEP_DECIDED, REFUSE_TOO_MANY, REJECT_EACH,
    SUPPRESSED_DECIDE, TAKE_EACH_LIMIT, TAKE_EACH_LIMITS, WINDOW, WRITE_KEPT, section,
};
use crate::redis::script::{Family, Script};

/// For up to so many keys, Absolute has a script without a loop for each number of them.
const UNROLLED: usize = 4;

/// The scripts of one strategy for any number of keys. Each is made when it is first used. Windows are
/// among their arguments.
#[derive(Debug)]
pub(crate) struct SeveralScripts {
    family: Family,
    /// By the number of keys; the first is the one with a loop.
    made: [OnceLock<Script>; UNROLLED + 1],
}

impl SeveralScripts {
    pub(crate) fn new(family: Family) -> Self {
        Self { family, made: Default::default() }
    }

    /// The script for so many keys.
    pub(crate) fn get(&self, keys: usize) -> &Script {
        let unrolled = match self.family {
            Family::Absolute if keys <= UNROLLED => keys,
            _ => 0,
        };
        self.made[unrolled].get_or_init(|| {
            let mut parts = begin(self.family);
            match unrolled {
                0 => in_a_loop(self.family, &mut parts),
                keys => unroll(self.family, keys, &mut parts),
            }
            Script::new("local now = ARGV[2]\n".to_owned(), parts)
        })
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Script)> {
        let most = if self.family == Family::Absolute { UNROLLED } else { 0 };
        (1..=most + 1).map(|keys| (keys, self.get(keys)))
    }
}

type Parts = Vec<Cow<'static, str>>;

fn begin(family: Family) -> Parts {
    let (_, each_call) = section(WINDOW, "-- EACH CALL\n");
    let (head, _) = section(each_call, "-- EACH KEY\n");
    let (begin, _) = section(INC_ALL, "-- LISTS\n");
    [family.formats(), head, begin].map(Cow::Borrowed).into()
}

/// The parts that decide on a key.
fn decide(family: Family) -> Vec<&'static str> {
    let (_, each_key) = section(WINDOW, "-- EACH KEY\n");
    match family {
        Family::Absolute => vec![TAKE_EACH_LIMIT, each_key, JUDGE, REJECT_EACH, ADD, KEEP, END],
        Family::Suppressed => vec![
            TAKE_EACH_LIMITS,
            each_key,
            REFUSE_TOO_MANY,
            SUPPRESSED_DECIDE,
            DECLINE,
            ADD,
            KEEP_DECIDED,
        ],
    }
}

fn in_a_loop(family: Family, parts: &mut Parts) {
    let (_, rest) = section(INC_ALL, "-- LISTS\n");
    let (each, rest) = section(rest, "-- DECIDE\n");
    let (between, end) = section(rest, "-- WRITE\n");
    let all = [each].into_iter().chain(decide(family)).chain([between, WRITE_KEPT, end]);
    parts.extend(all.map(Cow::Borrowed));
}

/// The same without a loop: a variable for each entry of the lists. Tables take the server a tenth of the time.
fn unroll(family: Family, keys: usize, parts: &mut Parts) {
    let numbered = |part: &str, key: usize| {
        part.replace("KEYS[i]", &format!("KEYS[{key}]")).replace("[i]", &format!("_{key}"))
    };
    let lists = "local values[i], offsets[i], expiries[i]\n";
    parts.extend((1..=keys).map(|key| numbered(lists, key).into()));
    for key in 1..=keys {
        parts.push(numbered("do\nlocal key = KEYS[i]\n", key).into());
        parts.extend(decide(family).into_iter().map(|part| numbered(part, key).into()));
        parts.push(END.into());
    }
    parts.push("if last_written > 0 then\n".into());
    parts.extend((1..=keys).map(|key| numbered(WRITE_KEPT, key).into()));
    parts.extend([END, "return reply\n"].map(Cow::Borrowed));
}
