//! What runs saw: a simulation in which nothing goes wrong proves nothing.

/// What a run saw; over all runs each must have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sometimes {
    pub(crate) taken: u64,
    pub(crate) expired: u64,
    pub(crate) handed_over: u64,
    pub(crate) reverted: u64,
    pub(crate) given_back: u64,
    pub(crate) conflicts: u64,
    pub(crate) fenced: u64,
    pub(crate) lost: u64,
    pub(crate) row_gone: u64,
    pub(crate) ended: u64,
    pub(crate) released: u64,
    pub(crate) deleted: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
    pub(crate) children: u64,
    pub(crate) java_took: u64,
    pub(crate) java_ended: u64,
    pub(crate) assigned: u64,
    pub(crate) twins: u64,
    pub(crate) restarts: u64,
    pub(crate) bad_clocks: u64,
    pub(crate) stale: u64,
    pub(crate) latest: u64,
    pub(crate) pinned: u64,
    pub(crate) outdated: u64,
    pub(crate) cleaned_of_java: u64,
    pub(crate) several_streams: u64,
}

impl Sometimes {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fields().into_iter().zip(other.clone().fields()) {
            *mine += *theirs;
        }
    }

    fn fields(&mut self) -> [&mut u64; 27] {
        [
            &mut self.taken,
            &mut self.expired,
            &mut self.handed_over,
            &mut self.reverted,
            &mut self.given_back,
            &mut self.conflicts,
            &mut self.fenced,
            &mut self.lost,
            &mut self.row_gone,
            &mut self.ended,
            &mut self.released,
            &mut self.deleted,
            &mut self.crashes,
            &mut self.stops,
            &mut self.children,
            &mut self.java_took,
            &mut self.java_ended,
            &mut self.assigned,
            &mut self.twins,
            &mut self.restarts,
            &mut self.bad_clocks,
            &mut self.stale,
            &mut self.latest,
            &mut self.pinned,
            &mut self.outdated,
            &mut self.cleaned_of_java,
            &mut self.several_streams,
        ]
    }

    pub(crate) fn all_seen(&self) -> bool {
        self.clone().fields().into_iter().all(|seen| *seen > 0)
    }
}
