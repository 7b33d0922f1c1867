//! What a side says of authentication in its INIT or INIT ACK (RFC 4895 §3, §6.1).

use super::{ALGORITHMS, RANDOM_LEN};
use core::cmp::Ordering;
use smallvec::SmallVec;
use sockeye_wire::sctp::{ChunkType, HmacId, List, Parameter, ParameterType, Parameters};

/// Most algorithms that are kept of a peer's list.
const ALGORITHMS_MAX: usize = 8;

/// The algorithms that a side offers, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Algorithms(SmallVec<[u16; ALGORITHMS.len()]>);

impl Default for Algorithms {
    fn default() -> Self {
        Self(ALGORITHMS.into())
    }
}

impl Algorithms {
    /// These; `None` when one is not known or there twice, or SHA-1 is not among them (RFC 4895 §6.1).
    pub(crate) fn new(ids: &[u16]) -> Option<Self> {
        let known = ids.iter().all(|id| ALGORITHMS.contains(id));
        let twice = ids
            .iter()
            .enumerate()
            .any(|(at, id)| ids[..at].contains(id));
        let possible = known && !twice && ids.contains(&HmacId::SHA1.0);
        possible.then(|| Self(ids.into()))
    }

    pub(crate) fn as_slice(&self) -> &[u16] {
        &self.0
    }
}

/// A set of chunk types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkSet([u64; 4]);

impl ChunkSet {
    /// The types in a CHUNKS parameter. RFC 4895 §3.2: INIT, INIT ACK, SHUTDOWN COMPLETE and AUTH
    /// are ignored.
    pub(crate) fn new(kinds: &[u8]) -> Self {
        let mut set = Self::default();
        for &kind in kinds {
            set.insert(ChunkType(kind));
        }
        set
    }

    /// Adds a type; false when it may not be in such a set.
    pub(crate) fn insert(&mut self, kind: ChunkType) -> bool {
        let exempt = matches!(
            kind,
            ChunkType::INIT | ChunkType::INIT_ACK | ChunkType::SHUTDOWN_COMPLETE | ChunkType::AUTH
        );
        if !exempt {
            self.0[usize::from(kind.0 >> 6)] |= 1 << (kind.0 & 63);
        }
        !exempt
    }

    pub(crate) fn contains(&self, kind: ChunkType) -> bool {
        self.0[usize::from(kind.0 >> 6)] & 1 << (kind.0 & 63) != 0
    }

    /// The types, ascending.
    pub(crate) fn kinds(&self) -> Vec<u8> {
        let all = 0..=u8::MAX;
        all.filter(|&kind| self.contains(ChunkType(kind))).collect()
    }
}

/// The terms of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// RFC 4895 §6.1: RANDOM, CHUNKS and HMAC-ALGO as they were sent, one behind the other without
    /// padding.
    pub(crate) vector: Vec<u8>,
    pub(crate) chunks: ChunkSet,
    pub(crate) algorithms: SmallVec<[u16; 4]>,
}

/// RFC 4895 §6.1: a peer whose terms can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTerms {
    /// Its random number does not have 32 bytes; the association is aborted.
    Random,
    /// It has no list of algorithms, or one without SHA-1.
    Algorithms,
}

impl Terms {
    /// Reads the terms among the parameters of an INIT or INIT ACK, or a key vector; `None` when it
    /// has no RANDOM: then it authenticates nothing.
    pub(crate) fn read(parameters: Parameters<'_>) -> Result<Option<Self>, BadTerms> {
        let (mut random, mut chunks, mut algorithms) = (None, None, None);
        for raw in parameters.flatten() {
            let slot = match raw.kind {
                ParameterType::RANDOM => &mut random,
                ParameterType::CHUNK_LIST => &mut chunks,
                ParameterType::HMAC_ALGORITHMS => &mut algorithms,
                _ => continue,
            };
            slot.get_or_insert(raw);
        }
        let Some(random) = random else {
            return Ok(None);
        };
        if random.value().len() != RANDOM_LEN {
            return Err(BadTerms::Random);
        }
        let mut terms = Self::default();
        terms.vector.extend_from_slice(random.bytes);
        if let Some(chunks) = chunks {
            terms.vector.extend_from_slice(chunks.bytes);
            terms.chunks = ChunkSet::new(chunks.value());
        }
        let list = algorithms.ok_or(BadTerms::Algorithms)?;
        terms.vector.extend_from_slice(list.bytes);
        let Ok(Parameter::HmacAlgorithms(list)) = Parameter::parse(&list) else {
            return Err(BadTerms::Algorithms);
        };
        if !list.iter().any(|id| id == HmacId::SHA1.0) {
            return Err(BadTerms::Algorithms);
        }
        terms.algorithms = list.iter().take(ALGORITHMS_MAX).collect();
        Ok(Some(terms))
    }

    /// Reads a key vector, as [`vector`](Self::vector) has it.
    pub(crate) fn from_vector(mut vector: &[u8]) -> Option<Self> {
        let mut parameters = Vec::new();
        while let [_, _, high, low, ..] = *vector {
            let len = usize::from(u16::from_be_bytes([high, low])).max(4);
            let (one, rest) = vector.split_at_checked(len)?;
            parameters.extend_from_slice(one);
            parameters.resize(parameters.len().next_multiple_of(4), 0);
            vector = rest;
        }
        Self::read(Parameters::new(&parameters)).ok()?
    }

    /// Terms of our own.
    pub(crate) fn offer(
        random: &[u8; RANDOM_LEN],
        chunks: ChunkSet,
        algorithms: &Algorithms,
    ) -> Self {
        let mut bytes = Vec::new();
        for parameter in own(random, &chunks.kinds(), algorithms) {
            // What is appended has no padding behind it, and must have none before it.
            let mut one = Vec::new();
            parameter.emit(&mut one);
            bytes.extend_from_slice(&one);
        }
        Self {
            vector: bytes,
            chunks,
            algorithms: SmallVec::from_slice(algorithms.as_slice()),
        }
    }

    pub(super) fn first_known_algorithm(&self) -> Option<HmacId> {
        let mut known = self.algorithms.iter().map(|id| HmacId(*id));
        known.find(|id| ALGORITHMS.contains(&id.0))
    }
}

fn own<'a>(
    random: &'a [u8; RANDOM_LEN],
    kinds: &'a [u8],
    algorithms: &'a Algorithms,
) -> impl Iterator<Item = Parameter<'a>> {
    let chunks = (!kinds.is_empty()).then_some(Parameter::ChunkList(kinds));
    [Parameter::Random(random)]
        .into_iter()
        .chain(chunks)
        .chain([Parameter::HmacAlgorithms(List::Values(
            algorithms.as_slice(),
        ))])
}

/// Appends the parameters of our own terms to an INIT's or INIT ACK's.
pub(crate) fn parameters(
    random: &[u8; RANDOM_LEN],
    chunks: ChunkSet,
    algorithms: &Algorithms,
    out: &mut Vec<u8>,
) {
    for parameter in own(random, &chunks.kinds(), algorithms) {
        parameter.emit(out);
    }
}

/// RFC 4895 §6.1: key vectors are compared as numbers; of equal ones the shorter comes first.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let zeros = |vector: &[u8]| vector.iter().take_while(|byte| **byte == 0).count();
    let (a, b) = (&one[zeros(one)..], &other[zeros(other)..]);
    a.len()
        .cmp(&b.len())
        .then_with(|| a.cmp(b))
        .then_with(|| one.len().cmp(&other.len()))
}
