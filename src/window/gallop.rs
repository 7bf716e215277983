//! Finding a threshold among things that lie in order.

/// The least index below `len` for which `holds`, where that is false up to some index and true
/// from there on. Looks at the first index first and then in doubling steps, so the cost grows
/// with the logarithm of the answer. Ends for any `holds`, also one that changes its mind.
#[inline]
pub(crate) fn gallop(len: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if len == 0 {
        return None;
    }
    if holds(0) {
        return Some(0);
    }
    let (mut below, mut step) = (0, 1);
    let mut above = loop {
        let probe = below + step;
        if probe >= len {
            break len;
        }
        if holds(probe) {
            break probe;
        }
        below = probe;
        step *= 2;
    };
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if holds(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    (above < len).then_some(above)
}

#[cfg(test)]
mod tests {
    use super::gallop;

    #[test]
    fn finds_every_threshold() {
        for len in 0..40 {
            for threshold in 0..=len {
                let expected = (threshold < len).then_some(threshold);
                assert_eq!(gallop(len, |index| index >= threshold), expected);
            }
        }
    }
}
