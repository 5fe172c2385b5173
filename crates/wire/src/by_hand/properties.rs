//! What must hold of any conversation in any protocol: [`properties!`] makes tests of it, from a generator of conversations and
//! one of bytes that may mean something.

use super::{ByHand, Subject, Told};
use crate::infer::{Guess, infer};
use crate::{Bytes, Direction, End, Outcome};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use steth_ledger::Lost;

/// A conversation, as it is written to a connection.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// Who speaks, and what. A request comes in an earlier turn than its response.
    pub(crate) turns: Vec<(Direction, Vec<u8>)>,
    /// How many exchanges that is.
    pub(crate) exchanges: u64,
    /// Those of them that only their responses tell of, as a statement that fails when it is prepared.
    pub(crate) told_by_responses: u64,
}

impl Conversation {
    /// Rounds: the requests of one, then their responses.
    pub(crate) fn new(rounds: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>, exchanges: u64) -> Self {
        let both = |(requests, responses)| [(Direction::Request, requests), (Direction::Response, responses)];
        Self { turns: rounds.into_iter().flat_map(both).collect(), exchanges, told_by_responses: 0 }
    }

    /// Rounds of pipelined exchanges, a request and its response each.
    pub(crate) fn pipelined(rounds: &[Vec<(Vec<u8>, Vec<u8>)>]) -> Self {
        let round = |round: &Vec<(Vec<u8>, Vec<u8>)>| {
            let (requests, responses): (Vec<_>, Vec<_>) = round.iter().cloned().unzip();
            (requests.concat(), responses.concat())
        };
        Self::new(rounds.iter().map(round), rounds.iter().flatten().count() as u64)
    }

    /// What is told of it by one who sees all of it, a turn a piece.
    pub(crate) fn whole<S: Subject>(&self) -> Vec<Told> {
        let mut kit = S::by_hand();
        for (direction, bytes) in &self.turns {
            kit.feed(*direction, Bytes::Captured(bytes));
        }
        kit.close(End::Closed).exchanges()
    }
}

/// What becomes of the bytes of a piece.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Captured,
    Skipped,
    Lost,
    /// Lost, and so many that nothing bounded could hold them.
    Vast,
}

impl Fate {
    pub(crate) fn of(self, bytes: &[u8]) -> Bytes<'_> {
        let n = bytes.len() as u64;
        match self {
            Fate::Captured => Bytes::Captured(bytes),
            Fate::Skipped => Bytes::Skipped(n),
            Fate::Lost => Bytes::Lost(n),
            Fate::Vast => Bytes::Lost(n * 1_000_000_000),
        }
    }
}

pub(crate) fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Captured), 1 => Just(Fate::Skipped), 1 => Just(Fate::Lost)]
}

/// Pieces: their sizes, and what becomes of them.
pub(crate) type Cuts = Vec<(usize, Fate)>;

pub(crate) fn cuts() -> impl Strategy<Value = Cuts> {
    prop::collection::vec((prop_oneof![1..4usize, 1..60usize, 1..300usize], fate()), 1..40)
}

/// Pieces that are all there.
pub(crate) fn splits() -> impl Strategy<Value = Cuts> {
    let size = prop_oneof![1..4usize, 1..60usize, 1..300usize];
    prop::collection::vec(size.prop_map(|size| (size, Fate::Captured)), 1..20)
}

pub(crate) fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::TimedOut), Just(End::Evicted)]
}

/// What nobody would say: from the client or not, what becomes of it, the bytes, and how long it is quiet behind them.
pub(crate) type Noise = Vec<(bool, Fate, Vec<u8>, u64)>;

pub(crate) fn noise(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Noise> {
    let fate = prop_oneof![9 => fate(), 1 => Just(Fate::Vast)];
    let quiet = prop_oneof![2 => Just(0), 1 => Just(300_000_000), 1 => 0..6_000_000_000u64];
    prop::collection::vec((any::<bool>(), fate, bytes, quiet), 0..60)
}

/// Feeds turns in pieces; those of the directions in which nothing may be missing are there.
fn cut<S: Subject>(kit: &mut ByHand<S>, turns: &[(Direction, Vec<u8>)], cuts: &Cuts, may_miss: &[Direction]) {
    let mut cuts = cuts.iter().cycle();
    for (direction, bytes) in turns {
        let mut rest = bytes.as_slice();
        while let (false, Some((size, fate))) = (rest.is_empty(), cuts.next()) {
            let (piece, behind) = rest.split_at(rest.len().min(*size));
            rest = behind;
            kit.feed(*direction, if may_miss.contains(direction) { fate.of(piece) } else { Bytes::Captured(piece) });
        }
    }
}

/// However it is split, the same exchanges, all of them, and nothing lost.
pub(crate) fn any_split<S: Subject>(conversation: &Conversation, splits: &Cuts) -> TestCaseResult {
    let mut kit = S::by_hand();
    cut(&mut kit, &conversation.turns, splits, &[]);
    kit.close(End::Closed);
    // Of those that are never answered, each is told at once, before or after what is pending.
    let by_answer = |told: Vec<Told>| told.into_iter().partition::<Vec<_>, _>(|told| told.outcome == Outcome::OneWay);
    prop_assert_eq!(by_answer(conversation.whole::<S>()), by_answer(kit.exchanges()));
    prop_assert_eq!((kit.count.reported, kit.count.lost()), (conversation.exchanges, 0));
    prop_assert!(kit.out.iter().all(|e| e.outcome != Outcome::Unanswered));
    Ok(())
}

/// Whatever is missing, no wrong pair, and no more exchanges than there were; and if it is missing from responses only, not fewer
/// either.
pub(crate) fn any_gap<S: Subject>(
    conversation: &Conversation,
    cuts: &Cuts,
    requests_too: bool,
    end: End,
) -> TestCaseResult {
    let may_miss = [Direction::Response, Direction::Request];
    let mut kit = S::by_hand();
    cut(&mut kit, &conversation.turns, cuts, &may_miss[..1 + usize::from(requests_too)]);
    kit.close(end);
    let least = if requests_too { 0 } else { conversation.exchanges - conversation.told_by_responses };
    let accounted = kit.accounted();
    prop_assert!(accounted >= least, "{accounted} of {least} or more: {:?}", kit.count);
    let most = conversation.exchanges + kit.session.surplus(kit.strays);
    prop_assert!(accounted <= most, "{accounted} of {most} at most: {:?}", kit.count);
    no_wrong_pair(&kit, conversation.whole::<S>())
}

/// What is claimed is so, and no two claims are about the same exchange.
fn no_wrong_pair<S: Subject>(kit: &ByHand<S>, mut whole: Vec<Told>) -> TestCaseResult {
    for told in kit.exchanges().iter().filter(|told| S::claims(told)) {
        let Some(found) = whole.iter().position(|whole| S::agrees(told, whole)) else {
            return Err(TestCaseError::fail(format!("{told:?} was not so, of {whole:#?}")));
        };
        whole.swap_remove(found);
    }
    Ok(())
}

/// A connection to which nobody listened for `turns` turns and `bytes` bytes of the next; and what follows.
fn joined<S: Subject>(
    conversation: &Conversation,
    turns: usize,
    bytes: usize,
) -> (ByHand<S>, Vec<(Direction, Vec<u8>)>) {
    let mut kit = S::by_hand();
    kit.session.joined();
    kit.joined = kit.session.pairs_by_order().then(Box::default);
    let (before, rest) = conversation.turns.split_at(turns);
    let mut rest = rest.to_vec();
    for (direction, bytes) in before {
        kit.at[*direction as usize] += bytes.len() as u64;
    }
    if let Some((direction, said)) = rest.first_mut() {
        let missed = said.drain(..bytes.min(said.len())).count() as u64;
        kit.at[*direction as usize] += missed;
    }
    (kit, rest)
}

/// Joined where a turn of requests begins, it tells from there on what one tells who was there from the start.
pub(crate) fn late_join<S: Subject>(conversation: &Conversation, turn: Index, splits: &Cuts) -> TestCaseResult {
    let is_request = |turn: &usize| conversation.turns[*turn].0 == Direction::Request;
    let turns: Vec<usize> = (0..conversation.turns.len()).filter(is_request).collect();
    let (mut kit, rest) = joined::<S>(conversation, *turn.get(&turns), 0);
    let from = kit.at[Direction::Request as usize];
    cut(&mut kit, &rest, splits, &[]);
    kit.close(End::Closed);
    let facts = |told: Vec<Told>| {
        let all = told.into_iter().filter(|told| told.request.0 >= from);
        let mut facts: Vec<_> =
            all.map(|told| (told.request, told.response, told.status, told.outcome.name())).collect();
        facts.sort();
        facts
    };
    let (told, mut whole) = (facts(kit.exchanges()), facts(conversation.whole::<S>()));
    let mut doubted = 0;
    if !S::CERTAIN_FROM_A_TURN {
        doubted = kit.count.lost_by(Lost::Joined);
        let all = whole.len() as u64;
        whole.retain(|fact| told.contains(fact));
        prop_assert_eq!(all - whole.len() as u64, doubted);
    }
    prop_assert_eq!((told, kit.count.lost()), (whole, doubted));
    Ok(())
}

/// Goes on to where a message of the protocol begins, as the kernel side does before it captures anything, and which knows who has
/// called: what looks like a command of Redis there may be a reply, and begins the conversation too. False: there is none.
fn recognised<S: Subject>(kit: &mut ByHand<S>, rest: &mut Vec<(Direction, Vec<u8>)>, cuts: &Cuts) -> bool {
    let mut sizes = cuts.iter().map(|(size, _)| *size).cycle();
    while let Some((direction, said)) = rest.first_mut() {
        while !said.is_empty() {
            let is_request = *direction == Direction::Request;
            if let Guess::Is { protocol, request } = infer(said)
                && protocol == S::PROTOCOL
                && (request == is_request || said.starts_with(b"*"))
            {
                return true;
            }
            let passed = said.drain(..said.len().min(sizes.next().unwrap_or(1))).count() as u64;
            kit.at[*direction as usize] += passed;
            kit.last = Some(*direction);
        }
        rest.remove(0);
    }
    false
}

/// Joined at any byte, or at any turn, and with holes behind it: no wrong pair.
pub(crate) fn late_join_anywhere<S: Subject>(
    conversation: &Conversation,
    (turn, byte): (Index, usize),
    cuts: &Cuts,
    end: End,
) -> TestCaseResult {
    let turn = turn.index(conversation.turns.len());
    let (mut kit, mut rest) = joined::<S>(conversation, turn, byte);
    if byte > 0 && !recognised(&mut kit, &mut rest, cuts) {
        return Ok(());
    }
    let from = kit.at;
    let requests = |turns: &[(Direction, Vec<u8>)]| {
        let requests = turns.iter().filter(|(direction, _)| *direction == Direction::Request);
        requests.flat_map(|(_, said)| said).copied().collect::<Vec<u8>>()
    };
    let missed = requests(&conversation.turns[..turn]).len()..from[0] as usize;
    if S::misses(&requests(&conversation.turns)[missed]) {
        return Ok(());
    }
    cut(&mut kit, &rest, cuts, &[Direction::Request, Direction::Response]);
    kit.close(end);
    // What it was joined within is known from there on.
    let clip = |(at, length): (u64, u64), from: u64| (at.max(from), length - from.saturating_sub(at).min(length));
    let mut whole = conversation.whole::<S>();
    for told in &mut whole {
        (told.request, told.response) = (clip(told.request, from[0]), clip(told.response, from[1]));
    }
    no_wrong_pair(&kit, whole)
}

/// Whatever is said: no panic, and the books are right at the end.
pub(crate) fn any_bytes<S: Subject>(mut kit: ByHand<S>, noise: &Noise, end: End) {
    for (request, fate, bytes, quiet) in noise {
        let direction = if *request { Direction::Request } else { Direction::Response };
        kit.feed(direction, fate.of(bytes));
        kit.time += quiet;
        kit.tick();
        if bytes.len() == 7 {
            kit.shutdown(direction);
        }
    }
    kit.close(end);
}

/// The tests that every protocol has.
macro_rules! properties {
    ($session:ty, $conversation:expr, $bytes:expr) => {
        proptest::proptest! {
            #[test]
            fn any_split_gives_the_same_exchanges(
                conversation in $conversation, splits in $crate::by_hand::splits(),
            ) {
                $crate::by_hand::any_split::<$session>(&conversation, &splits)?;
            }

            #[test]
            fn any_gap_keeps_the_ledger_and_gives_no_wrong_pair(
                conversation in $conversation, cuts in $crate::by_hand::cuts(), requests_too: bool,
                end in $crate::by_hand::end(),
            ) {
                $crate::by_hand::any_gap::<$session>(&conversation, &cuts, requests_too, end)?;
            }

            #[test]
            fn a_late_join_misses_nothing_from_the_next_request_on(
                conversation in $conversation, turn: proptest::sample::Index, splits in $crate::by_hand::splits(),
            ) {
                $crate::by_hand::late_join::<$session>(&conversation, turn, &splits)?;
            }

            #[test]
            fn a_late_join_anywhere_gives_no_wrong_pair(
                conversation in $conversation, turn: proptest::sample::Index, byte in 0..400usize,
                cuts in $crate::by_hand::cuts(), end in $crate::by_hand::end(),
            ) {
                $crate::by_hand::late_join_anywhere::<$session>(&conversation, (turn, byte), &cuts, end)?;
            }

            #[test]
            fn any_bytes_are_survived(
                noise in $crate::by_hand::noise($bytes), end in $crate::by_hand::end(),
            ) {
                $crate::by_hand::any_bytes(<$session as $crate::by_hand::Subject>::by_hand(), &noise, end);
            }
        }
    };
}
pub(crate) use properties;
