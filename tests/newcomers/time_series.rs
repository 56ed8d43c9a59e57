//! builds: default
//!
//! Measurements by sensor and time, by a user of the standard library's `BTreeMap`.

use hedgerow::{FenceMap, OrdMap};
use std::thread;

struct Series {
    values: FenceMap<(u16, u64), f64>,
    names: OrdMap<String, u16>,
}

impl Series {
    fn record(&self, sensor: u16, time: u64, value: f64) {
        self.values.insert((sensor, time), value);
    }

    fn mean(&self, sensor: u16, from: u64, to: u64) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for (_, value) in self.values.range((sensor, from)..(sensor, to)) {
            sum += value;
            count += 1.0;
        }
        (count > 0.0).then(|| sum / count)
    }

    fn latest(&self, sensor: u16) -> Option<(u64, f64)> {
        let ((_, time), value) = self.values.range((sensor, 0)..=(sensor, u64::MAX)).next_back()?;
        Some((time, value))
    }

    fn forget(&self, sensor: u16, before: u64) -> usize {
        self.values.remove_range((sensor, 0)..(sensor, before))
    }

    fn sensor(&self, name: &str) -> Option<u16> {
        self.names.get(name).map(|number| *number)
    }
}

#[test]
fn ranges_of_a_time_series() {
    let names = OrdMap::from([("roof".to_string(), 1), ("cellar".to_string(), 2)]);
    let series = Series { values: FenceMap::new(), names };
    thread::scope(|scope| {
        for sensor in [1, 2] {
            let series = &series;
            scope.spawn(move || {
                for time in 0..1000_u32 {
                    series.record(sensor, time.into(), time.into());
                }
            });
        }
    });
    let roof = series.sensor("roof").unwrap();
    assert_eq!(series.mean(roof, 10, 13), Some(11.0));
    assert_eq!(series.latest(roof), Some((999, 999.0)));
    assert_eq!(series.forget(roof, 990), 990);
    assert_eq!((series.mean(roof, 0, 990), series.values.len()), (None, 1010));
    let names: Vec<String> = series.names.iter().map(|entry| entry.key().clone()).collect();
    assert_eq!(names, ["cellar", "roof"]);
}
