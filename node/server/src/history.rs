//! The last hour in a few numbers a minute, for the page's small curves. In memory: a restart begins anew.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proto::v1::{ClusterHealth, GetClusterStatusResponse};

/// One point stands for this long.
const POINT: Duration = Duration::from_secs(60);
/// Points kept.
pub const POINTS_MAX: usize = 60;

/// What the page draws and how long it has been so.
pub struct History {
    points: VecDeque<Point>,
    current: Point,
    began: Instant,
    health: ClusterHealth,
    since: Instant,
}

/// One minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The most messages sent in a second, all nodes together.
    pub sends: f64,
    /// The longest time one in a hundred messages took, in milliseconds.
    pub send_p99_ms: f64,
    /// The longest time one in a hundred deliveries took, in milliseconds.
    pub delivery_p99_ms: f64,
    /// The most sessions at a time.
    pub sessions: f64,
}

impl History {
    /// Begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            points: VecDeque::new(),
            current: Point::default(),
            began: now,
            health: ClusterHealth::Unspecified,
            since: now,
        }
    }

    /// Takes in how the cluster is now; called every second or so.
    pub fn note(&mut self, now: Instant, status: &GetClusterStatusResponse) {
        if status.health() != self.health {
            (self.health, self.since) = (status.health(), now);
        }
        while now.saturating_duration_since(self.began) >= POINT {
            self.points.push_back(std::mem::take(&mut self.current));
            if self.points.len() >= POINTS_MAX {
                self.points.pop_front();
            }
            self.began += POINT;
        }
        let vitals = || status.nodes.iter().filter(|node| node.reachable).filter_map(|node| node.vitals.as_ref());
        let sending = vitals().filter_map(|one| one.send_p99.as_ref());
        let delivery = vitals().filter_map(|one| one.delivery_p99.as_ref());
        let ms = |time: &prost_types::Duration| time.seconds as f64 * 1e3 + f64::from(time.nanos) / 1e6;
        self.current.sends = self.current.sends.max(vitals().map(|one| one.sends_per_second).sum());
        self.current.send_p99_ms = sending.map(ms).fold(self.current.send_p99_ms, f64::max);
        self.current.delivery_p99_ms = delivery.map(ms).fold(self.current.delivery_p99_ms, f64::max);
        self.current.sessions = self.current.sessions.max(vitals().map(|one| f64::from(one.sessions)).sum());
    }

    /// The minutes, the oldest first, the last one not over yet.
    pub fn points(&self) -> impl ExactSizeIterator<Item = Point> + Clone + '_ {
        let all = self.points.len() + 1;
        (0..all).map(move |index| *self.points.get(index).unwrap_or(&self.current))
    }

    /// For how long it has been as it is.
    pub fn unchanged(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{NodeStatus, NodeVitals};

    fn status(health: ClusterHealth, sends: f64) -> GetClusterStatusResponse {
        let vitals = Some(NodeVitals { sends_per_second: sends, sessions: 3, ..Default::default() });
        let node = NodeStatus { reachable: true, vitals, ..Default::default() };
        GetClusterStatusResponse { health: health.into(), nodes: vec![node.clone(), node], ..Default::default() }
    }

    #[test]
    fn an_hour_is_kept_minute_by_minute() {
        let start = Instant::now();
        let mut history = History::new(start);
        for second in 0..7_200 {
            let sends = if second == 7_130 { 50.0 } else { 1.0 };
            history.note(start + Duration::from_secs(second), &status(ClusterHealth::Ok, sends));
        }
        assert_eq!(history.points().len(), POINTS_MAX);
        let last: Vec<f64> = history.points().map(|point| point.sends).skip(POINTS_MAX - 3).collect();
        assert_eq!(last, [2.0, 100.0, 2.0]);
        assert!(history.points().all(|point| point.sessions == 6.0));
    }

    #[test]
    fn a_gap_is_drawn_as_one_and_not_left_out() {
        let start = Instant::now();
        let mut history = History::new(start);
        history.note(start, &status(ClusterHealth::Ok, 5.0));
        history.note(start + Duration::from_secs(600), &status(ClusterHealth::Degraded, 5.0));
        assert_eq!(history.points().len(), 11);
        assert_eq!(history.points().filter(|point| point.sends > 0.0).count(), 2);
        assert_eq!(history.unchanged(start + Duration::from_secs(630)), Duration::from_secs(30));
        history.note(start + Duration::from_secs(1_000_000), &status(ClusterHealth::Degraded, 5.0));
        assert_eq!(history.points().len(), POINTS_MAX);
    }
}
