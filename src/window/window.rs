//! The protocol of one key's window.
//!
//! # What is kept
//!
//! One cumulative count `cum` of all units ever admitted, and for each tick with an admission a
//! *mark* `(tick, start)`: `start` is what `cum` was before that tick's first unit. The usage of
//! the window is `cum` less the `start` of the oldest mark still inside. A mark is inside at `now`
//! while `now - tick < span`.
//!
//! `state` packs `cum`, `tail` (marks ever committed), `len` (marks inside when the newest was
//! committed) and `dead`. All decisions are one
//! compare-and-swap of `state`, or one read of it that is validated by reading it again.
//!
//! Of `K` slots inside the window, mark `i` has slot `i mod K`. Marks before the `K` newest are in a ring on the
//! heap, mark `i` in its slot `i mod R`; a window has none before it counts more than `K` marks. Before
//! mark `i` takes the slot of mark `i - K`, where `i` is a multiple of `K`, all `K` marks inside the window are
//! copied to the ring: so nearly all calls need nothing but the window's own words.
//!
//! # Invariants
//!
//! 1. While `(tail, len)` stand, the marks `tail - len .. tail` do not change. Of these, mark `tail - K` may
//!    give up its slot inside the window to an announcement, after it was copied; it is on another *lap*.
//! 2. Ticks of committed marks strictly increase, as long as `len > 0`; their starts never
//!    decrease.
//! 3. A slot announced for a state changes only after that state has changed.
//! 4. `state` never returns to an earlier value: `cum` or `tail` has moved on. (Modulo their
//!    ranges: a thread would have to sleep through a whole number of turns of both, or, where units
//!    are given back and admitted again, through one of `cum` within a single tick.)
//!
//! # Admission, same tick
//!
//! If the newest mark's tick `t` is `now` or later (another thread's clock reading was newer), the
//! call is judged at `t`. The marks inside at `t` are exactly the `len` newest, so usage is
//! `cum - start(tail - len)`, and admission is one CAS of `cum`.
//!
//! # Admission, new tick
//!
//! 1. *Announce*: CAS the slot of mark `tail` to `(cum, now)`. This alone changes nothing.
//! 2. *Commit*: CAS `state` to one more mark and the units. `len` becomes the marks inside at the
//!    new tick, itself included.
//!
//! Two threads at one state meet in the slot. An announcement `(start = cum, tick > t)` found
//! there is never overwritten, since its owner may be about to commit it (invariant 3). If its
//! tick is `now` or later, the finder commits it with its own units, and is judged at that tick;
//! if it is earlier, the finder commits it empty and starts over, one mark further. Other contents of
//! the slot are told apart as follows. An announcement for an earlier state has a `start` that is
//! not `cum`. The mark of one turn earlier, and a blank slot, are on another *lap*: a bit that
//! changes with every turn round the slots inside the window, so that they are no announcements even where
//! `start` and tick have wrapped to suit.
//!
//! *Why nothing overshoots.* Every admission is a CAS on the one word that fixes `cum`, `tail` and
//! `len`. By invariant 1 what it read of the marks was true when it succeeded. So the last
//! admission into any window has counted all the others.
//!
//! # Rejection
//!
//! A rejection reads `state`, the note, the marks, and `state` again. If it is unchanged all of it
//! held at the moment the note was read, else the call starts over. Nothing is written.
//!
//! # The fast path
//!
//! Most calls need no more than the words of the window itself: see `fast_path` and `begin`, and `note` for
//! how a window whose oldest mark is in a ring is spared the look at it.
//!
//! # Copying to the ring
//!
//! A thread that is about to announce mark `tail`, a multiple of `K`, reads the `K` marks inside the window, and
//! the slots of the ring that they are copied to; looks at `state` again; and then puts each mark there by a
//! compare-and-swap of what it found. While the state stood, all who did this found and copied the same. Once it has
//! moved on, they are copied, and the slot no longer holds what a sleeper found in it: that was an
//! earlier mark, or blank, and does not come back. The thread that finds the next mark announced
//! already, by its lap, knows that they were copied before.
//!
//! # Exchange of rings
//!
//! A ring is exchanged at states that call for it and at no others: the first is made at `len = K`,
//! where the slot of mark `tail` is still the oldest mark's; later, where `tail` is a multiple of `K`, a ring is
//! exchanged for a larger one at `len > R`, for a smaller one where `len` is a small part
//! of `R`. At such a state the exchange precedes anything else: nobody announces or commits a mark
//! before there is another ring. So from the moment that a state calls for it, `tail`
//! stands still until another ring is in place, and all who copy the marks copy the same ones. Of
//! the rest of `state`, units may be added meanwhile, which touches no mark, and a roomy ring may
//! lose marks by a restart or a fill-up, which leaves it roomy; where the ring is too small those two wait for
//! the exchange, since with fewer marks it would be large enough.
//!
//! A thread that has slept may hold a ring that is newer than its state. It looks at `state` again
//! before it copies anything.
//!
//! # Wrapping ticks
//!
//! Ticks are packed into 2B-1 bits, `now` is 64 bits wide. `latest` is unwrapped; it trails the
//! newest mark by at most an eighth of the range, because a thread that finds it further behind raises
//! it before announcing. A call proceeds only if `now` is at most a quarter
//! away from `latest` *and* less than a quarter away from `t` in wrapped terms; then the two differ
//! by less than a quarter in truth, or by more than three, which `latest` excludes. Otherwise either
//! `now` is an old reading, and is replaced by `latest`, or the key has been idle for longer than
//! any window, and is *restarted*: `state` becomes `(cum + stride, tail, len = 0)`. Moving `cum` on
//! voids every announcement still in flight.
//!
//! # Without marks: `floor`
//!
//! At `len = 0` no tick holds back a thread with an old clock reading. A fresh window replaces
//! one that was retired, and a restarted one has forgotten its marks, in the belief that all of
//! them are older than the window *now*. So a thread that retires or restarts a window first raises
//! `floor`, one word shared by all keys (see `timeline`), to its `now`; and a thread that meets `len = 0`
//! reads `floor` *after* `state` and is judged no earlier than that. Reading it before looking the key up
//! would not do.
//!
//! # Refunds and undos
//!
//! Marks are immutable, so units given back are noted beside them, in a list: see `undo`. Races with
//! admissions err towards counting too much.

use crate::sync::INLINE_MARKS;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::{self, Guard};
use crate::window::advance::needs_ring;
use crate::window::begin::{Beginning, Start};
use crate::window::fast_path::FastPath;
use crate::window::given_back::GivenBack;
use crate::window::layout::Layout;
use crate::window::note::{Note, Noted};
use crate::window::retry_hint::{self, RetryHint};
use crate::window::ring::{Marks, View};
use crate::window::snapshot::{DecisionTick, Limit, Snapshot, Usage};
use crate::window::timeline::Timeline;
use crate::window::undo::MarkId;

/// The outcome of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Counted, on top of this usage.
    Admitted {
        /// The bucket that it is counted in; for a look, the one that it would be counted in.
        mark: MarkId,
        /// Usage before it.
        usage: u64,
    },
    /// Not counted; nothing was written.
    Rejected {
        /// Usage that stood in the way.
        usage: u64,
        /// When it would fit, or `None` if never.
        retry_hint: Option<RetryHint>,
    },
    /// The window was retired. It never comes back; look the key up again.
    Dead,
}

/// One key's window.
///
/// Eight words, of which nearly all calls need no others.
#[repr(C)]
pub(crate) struct Window {
    pub(in crate::window) state: AtomicU64,
    pub(in crate::window) latest: AtomicU64,
    pub(in crate::window) note: Note,
    pub(in crate::window) marks: Marks,
}

/// One turn of the loop of [`Window::add`]: what it read and now acts on.
pub(in crate::window) struct Basis<'a> {
    pub(in crate::window) snapshot: &'a Snapshot<'a>,
    pub(in crate::window) usage: &'a Usage,
    pub(in crate::window) timeline: &'a Timeline,
}

impl Window {
    /// A window with nothing in it, begun by a thread whose clock reads tick `now`.
    pub(crate) fn new(timeline: &Timeline, now: u64) -> Self {
        let layout = timeline.layout();
        // It begins at another state than earlier windows of this key, so that their marks are told apart;
        // see `MarkId`. At a whole turn: the first marks are on an even lap.
        let state = layout.blank(timeline.generation(), (2 * INLINE_MARKS).ilog2());
        Self {
            state: AtomicU64::new(state),
            latest: AtomicU64::new(now),
            note: Note::new(),
            // On the odd lap: the first marks are on an even one.
            marks: Marks::new(layout.mark(0, 0, true)),
        }
    }

    /// Adds `count` units at tick `now`, or at a later one that other threads have reached.
    ///
    /// The timeline is that of all windows of a map. A limit must not be above [`Layout::most`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn add(&self, timeline: &Timeline, now: u64, count: u64, limit: Limit) -> Outcome {
        self.add_with::<true>(timeline, now, count, limit, &mut 0)
    }

    /// [`Window::add`] for callers who have no use for the hint of a rejection: it may be missing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn add_unhinted(
        &self,
        timeline: &Timeline,
        now: u64,
        count: u64,
        limit: Limit,
    ) -> Outcome {
        self.add_with::<false>(timeline, now, count, limit, &mut 0)
    }

    /// [`Window::add`] without a limit, which also counts how often another thread came first on the
    /// fast path.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn add_noting(
        &self,
        timeline: &Timeline,
        now: u64,
        count: u64,
        conflicts: &mut u32,
    ) -> Outcome {
        self.add_with::<false>(timeline, now, count, Limit::Unbounded, conflicts)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of its cost would be the call and its results")]
    fn add_with<const HINT: bool>(
        &self,
        timeline: &Timeline,
        now: u64,
        count: u64,
        limit: Limit,
        conflicts: &mut u32,
    ) -> Outcome {
        let layout = timeline.layout();
        let most = match limit {
            Limit::Within(most) => most,
            Limit::Unbounded => layout.most(),
        };
        loop {
            match self.fast_path::<HINT>(layout, now, count, most) {
                FastPath::Fits { state, usage } => {
                    let at = layout.with_units(state, count);
                    if self.swap_state(state, at) {
                        return Outcome::Admitted { mark: MarkId { tick: now, at }, usage };
                    }
                    *conflicts += 1;
                }
                FastPath::Begins { start, usage } => {
                    let call = Beginning { layout, now, count, most };
                    return match self.begin(call, start, usage) {
                        Some(outcome) => outcome,
                        None => self.add_by_marks(timeline, now, count, limit),
                    };
                }
                FastPath::Moves { start } => {
                    let call = Beginning { layout, now, count, most };
                    return match self.begin_busy(call, start) {
                        Some(outcome) => outcome,
                        None => self.add_by_marks(timeline, now, count, limit),
                    };
                }
                FastPath::Full { usage, retry_hint } if limit != Limit::Unbounded => {
                    return Outcome::Rejected { usage, retry_hint };
                }
                FastPath::Full { .. } | FastPath::Unclear => {
                    return self.add_by_marks(timeline, now, count, limit);
                }
            }
        }
    }

    /// [`Window::add`] by the full protocol, where the fast path does not decide.
    #[inline(never)]
    fn add_by_marks(&self, timeline: &Timeline, now: u64, count: u64, limit: Limit) -> Outcome {
        let mut pin = None;
        loop {
            let Some(snapshot) = self.snapshot(timeline, &mut pin) else { return Outcome::Dead };
            let at = self.decision_tick(&snapshot, now, || timeline.floor());
            let (usage, tick) = snapshot.usage_at(&at);

            if !usage.fits(count, limit) {
                let retry_hint = retry_hint::retry_hint(&snapshot, &usage, tick, count, limit);
                if self.holds(&snapshot) {
                    return Outcome::Rejected { usage: usage.units, retry_hint };
                }
                continue;
            }
            let basis = Basis { snapshot: &snapshot, usage: &usage, timeline };
            let added = match at {
                DecisionTick::Newest(tick) => self.add_units(&basis, tick, count),
                DecisionTick::New(tick) => self.add_mark(&basis, tick, count),
                DecisionTick::Idle(tick) => self.restart(&basis, tick),
            };
            if let Some(mark) = added {
                return Outcome::Admitted { mark, usage: usage.units };
            }
        }
    }

    /// Judges an addition without making it.
    #[inline]
    pub(crate) fn peek(&self, timeline: &Timeline, now: u64, count: u64, limit: Limit) -> Outcome {
        if let Limit::Within(most) = limit {
            match self.fast_path::<true>(timeline.layout(), now, count, most) {
                FastPath::Full { usage, retry_hint } => {
                    return Outcome::Rejected { usage, retry_hint };
                }
                FastPath::Fits { state, usage }
                | FastPath::Begins { start: Start { state, .. }, usage }
                    if self.is_at(state) =>
                {
                    return Outcome::Admitted { mark: MarkId { tick: now, at: state }, usage };
                }
                _ => {}
            }
        }
        self.read(timeline, now, |snapshot, usage, tick| {
            if usage.fits(count, limit) {
                let mark = MarkId { tick, at: snapshot.state };
                Outcome::Admitted { mark, usage: usage.units }
            } else {
                let retry_hint = retry_hint::retry_hint(snapshot, usage, tick, count, limit);
                Outcome::Rejected { usage: usage.units, retry_hint }
            }
        })
        .unwrap_or(Outcome::Dead)
    }

    /// Units counted at tick `now`, or `None` if the window is dead.
    pub(crate) fn usage(&self, timeline: &Timeline, now: u64) -> Option<u64> {
        self.read(timeline, now, |_, usage, _| usage.units)
    }

    /// Units counted at tick `now`, and those of them that would count if the window spanned only
    /// `span` ticks; or `None` if the window is dead.
    pub(crate) fn usage_and_recent(
        &self,
        timeline: &Timeline,
        now: u64,
        span: u64,
    ) -> Option<(u64, u64)> {
        self.read(timeline, now, |snapshot, usage, tick| {
            let recent = snapshot.live_within(tick, span).min(usage.live);
            (usage.units, snapshot.usage(recent, tick).units)
        })
    }

    /// Whether nothing counts at tick `now`, and nothing was added for `stale_after` ticks.
    pub(crate) fn is_idle(&self, timeline: &Timeline, now: u64, stale_after: u64) -> bool {
        self.read(timeline, now, |snapshot, usage, now| {
            usage.units == 0 && self.idle_for(snapshot, now) >= stale_after
        })
        .unwrap_or(true)
    }

    /// Ends this window if nothing in it counts at tick `now` and nothing was added for
    /// `stale_after` ticks, unless `besides` objects. Returns whether it is dead: then it is to be
    /// removed from its map. See [`Window::hold_up`] for what `besides` can rely on.
    pub(crate) fn retire(
        &self,
        timeline: &Timeline,
        now: u64,
        stale_after: u64,
        besides: impl FnOnce() -> bool,
    ) -> bool {
        let mut pin = None;
        let Some(snapshot) = self.snapshot(timeline, &mut pin) else { return true };
        let (usage, now) = self.look(&snapshot, now);
        // After the state was loaded, and before it is found to be unchanged.
        if usage.units != 0 || self.idle_for(&snapshot, now) < stale_after || !besides() {
            return false;
        }
        // Before the kill: a thread that meets this window dead, or a fresh one of this key, is
        // judged no earlier than `now`.
        timeline.raise_floor(now);
        if usage.live != 0 {
            // Its units were all given back. A fresh window of this key may have a bucket of the same
            // tick.
            timeline.begin_generation();
        }
        // The CAS proves that everything read above still held: nothing came in meanwhile.
        self.commit(&snapshot, Layout::kill(snapshot.state))
    }

    /// To be called after writing something that `besides` of [`Window::retire`] looks at: makes a
    /// retirement fail that looked too early to see it. `None` if the window is dead: it may have been
    /// retired without seeing it.
    ///
    /// A window in use at `now` is not retired, and is left alone. An idle one is begun afresh: a
    /// retirement that loaded the state before that finds it changed, and one that loads it later
    /// sees what was written before.
    #[cold]
    pub(crate) fn hold_up(&self, timeline: &Timeline, now: u64) -> Option<()> {
        let mut pin = None;
        loop {
            let snapshot = self.snapshot(timeline, &mut pin)?;
            let (usage, tick) = self.look(&snapshot, now);
            let last = tick.saturating_sub(self.idle_for(&snapshot, tick));
            if !self.holds(&snapshot) {
                continue;
            }
            if usage.units > 0 {
                return Some(());
            }
            // Without marks it alone tells how long the window has been idle. Release: as in
            // `add_mark`; no mark is newer.
            self.latest.fetch_max(last, Ordering::Release);
            let basis = Basis { snapshot: &snapshot, usage: &usage, timeline };
            if self.begin_afresh(&basis, tick).is_some() {
                return Some(());
            }
        }
    }

    /// Ends this window whatever it holds: its units are forgotten. `false` if it was dead.
    pub(crate) fn kill(&self, timeline: &Timeline) -> bool {
        timeline.begin_generation();
        // AcqRel: Release orders what this thread did before for threads that find the window dead;
        // Acquire orders the admissions that it forgets before this.
        let state = self.state.fetch_or(Layout::kill(0), Ordering::AcqRel);
        !Layout::is_dead(state)
    }

    pub(crate) fn is_dead(&self) -> bool {
        // Acquire: pairs with the kill, so that a thread that finds it dead sees the raised floor.
        Layout::is_dead(self.state.load(Ordering::Acquire))
    }

    /// Reads what [`Window::add`] will read, so that it is in the cache by then. Nothing depends on the
    /// values read here, so the processor goes on to the next window meanwhile. `pin` is filled when a ring
    /// is first met, and used again: pinning for each window would mean waiting for each.
    #[inline]
    pub(crate) fn touch(&self, timeline: &Timeline, pin: &mut Option<Guard>) {
        // Relaxed: nothing is learnt.
        let state = self.state.load(Ordering::Relaxed);
        let tail = timeline.layout().tail(state);
        // Relaxed: nothing is learnt. The marks may be in another line than the state.
        let mut touched = self.marks.newest(tail).load(Ordering::Relaxed);
        if needs_ring(tail) && self.marks.has_ring() {
            let guard: &Guard = pin.get_or_insert_with(epoch::pin);
            // Relaxed: nothing is learnt.
            let copy = |slot: &AtomicU64| slot.load(Ordering::Relaxed);
            touched ^= self.marks.ring(guard).slot(tail.wrapping_sub(1)).map_or(0, copy);
        }
        core::hint::black_box(touched);
    }

    /// Slots for marks held at present.
    pub(crate) fn capacity(&self) -> usize {
        self.marks.capacity()
    }

    /// Heap bytes held at present.
    pub(crate) fn heap_bytes(&self) -> usize {
        let ring = match self.capacity() {
            INLINE_MARKS => 0,
            slots => slots * size_of::<AtomicU64>(),
        };
        let guard = epoch::pin();
        // SAFETY: loaded after the pin.
        ring + unsafe { GivenBack::of(self.note.load(), &guard) }.bytes()
    }

    // --- reading -------------------------------------------------------------------------------

    /// Takes a snapshot, through which everything else is read; `None` of a dead window.
    #[inline]
    pub(in crate::window) fn snapshot<'a>(
        &'a self,
        timeline: &'a Timeline,
        pin: &'a mut Option<Guard>,
    ) -> Option<Snapshot<'a>> {
        // Acquire: pairs with every CAS of `state`; the marks that it counts, and the ring that
        // holds them, are visible from here on.
        let state = self.state.load(Ordering::Acquire);
        if Layout::is_dead(state) {
            return None;
        }
        let (layout, marks) = (timeline.layout(), &self.marks);
        let note = self.note.load();
        if !marks.has_ring() && !note.is_list() {
            let (ring, given_back) = (View::none(), GivenBack::none());
            return Some(Snapshot { layout, state, marks, ring, note, given_back });
        }
        let guard: &'a Guard = pin.get_or_insert_with(epoch::pin);
        let ring = marks.ring(guard);
        let note = self.note.load();
        // SAFETY: loaded after the pin.
        let given_back = unsafe { GivenBack::of(note, guard) };
        Some(Snapshot { layout, state, marks, ring, note, given_back })
    }

    /// Reads consistently: `f` is called until what it was given is known to have been true.
    #[inline]
    fn read<T>(
        &self,
        timeline: &Timeline,
        now: u64,
        mut f: impl FnMut(&Snapshot<'_>, &Usage, u64) -> T,
    ) -> Option<T> {
        let mut pin = None;
        loop {
            let snapshot = self.snapshot(timeline, &mut pin)?;
            let (usage, now) = self.look(&snapshot, now);
            let answer = f(&snapshot, &usage, now);
            if self.holds(&snapshot) {
                return Some(answer);
            }
        }
    }

    /// The usage at `now`, or later if other threads are ahead, and that tick.
    #[inline]
    pub(in crate::window) fn look(&self, snapshot: &Snapshot<'_>, now: u64) -> (Usage, u64) {
        // No floor: without marks nothing is counted, whatever the tick.
        snapshot.usage_at(&self.decision_tick(snapshot, now, || 0))
    }

    #[inline]
    fn decision_tick(
        &self,
        snapshot: &Snapshot<'_>,
        now: u64,
        floor: impl FnOnce() -> u64,
    ) -> DecisionTick {
        // Raised before the mark that needs it was announced, hence before the state that was
        // acquired. Acquire: pairs with the Release where it is raised: a thread that finds it raised
        // for a later state will see that state when it looks again.
        snapshot.decision_tick(now, self.latest.load(Ordering::Acquire), floor)
    }

    /// Ticks since the newest mark, or since this window was begun.
    fn idle_for(&self, snapshot: &Snapshot<'_>, now: u64) -> u64 {
        let layout = snapshot.layout;
        // Relaxed: as in `decision_tick`.
        let since_latest = now.saturating_sub(self.latest.load(Ordering::Relaxed));
        if snapshot.len() == 0 || since_latest > layout.quarter() {
            return since_latest;
        }
        let since = layout.ticks_between(snapshot.newest_tick(), now);
        // Negative in wrapped terms only where it is too long ago to tell: `latest` bounds it.
        u64::try_from(since).unwrap_or(since_latest)
    }

    /// Whether the state still stands, hence all that was read since it was loaded was true.
    #[inline]
    pub(in crate::window) fn holds(&self, snapshot: &Snapshot<'_>) -> bool {
        self.is_at(snapshot.state)
    }

    /// Whether `state` still stands.
    #[inline]
    pub(in crate::window) fn is_at(&self, state: u64) -> bool {
        // Relaxed: ordered after the Acquire loads of the note and the slots. If one of those saw
        // a word written after the state had changed, this load sees the change.
        self.state.load(Ordering::Relaxed) == state
    }

    // --- writing -------------------------------------------------------------------------------

    /// Commits a change of the state of the snapshot.
    #[inline]
    pub(in crate::window) fn commit(&self, snapshot: &Snapshot<'_>, next: u64) -> bool {
        self.swap_state(snapshot.state, next)
    }

    /// [`Window::commit`], after which `head` takes the place of the note.
    #[inline]
    pub(in crate::window) fn commit_with(
        &self,
        snapshot: &Snapshot<'_>,
        next: u64,
        head: Option<Noted>,
    ) -> bool {
        if !self.commit(snapshot, next) {
            return false;
        }
        if let Some(head) = head {
            self.replace_note(snapshot.note, head);
        }
        true
    }

    /// Puts a head in the place of the note. If another thread has changed that, it stays.
    #[inline]
    pub(in crate::window) fn replace_note(&self, found: Noted, head: Noted) {
        if found.is_list() {
            self.forget_list(found, head);
        } else {
            let _ = self.note.replace(found, head);
        }
    }

    #[inline]
    pub(in crate::window) fn swap_state(&self, state: u64, next: u64) -> bool {
        // Release: publishes the mark, the note and the raised floor to the Acquire load of `state`
        // in `snapshot` and `fast_path`. Relaxed on failure: the loop loads it afresh.
        self.state.compare_exchange(state, next, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Adds units to the newest mark, of this tick. `None`: something has moved, start over.
    #[inline]
    fn add_units(&self, basis: &Basis<'_>, tick: u64, count: u64) -> Option<MarkId> {
        let &Basis { snapshot, usage, .. } = basis;
        let layout = snapshot.layout;
        if usage.overflows(layout, count) {
            return self.fill_up(basis, tick);
        }
        let at = layout.with_units(snapshot.state, count);
        let oldest = || snapshot.mark(snapshot.tail().wrapping_sub(snapshot.len()));
        let head = snapshot.next_head(at, oldest);
        self.commit_with(snapshot, at, head).then_some(MarkId { tick, at })
    }
}
