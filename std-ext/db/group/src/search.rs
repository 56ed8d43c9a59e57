//! Exhaustive searches of models.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Searches all states of models. Returns their number, and the properties that some states had and may have.
///
/// # Panics
/// If a property that all states must have is broken.
pub fn all<M>(models: impl IntoIterator<Item = M>) -> (usize, BTreeSet<&'static str>)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let (mut states, mut met) = (0, BTreeSet::new());
    for model in models {
        let checker = model.checker().threads(2).spawn_bfs().join();
        for property in checker.model().properties() {
            match (property.expectation, checker.discovery(property.name)) {
                (Expectation::Sometimes, Some(_)) => _ = met.insert(property.name),
                (_, Some(path)) => {
                    panic!("it fails that `{}`: {:?}", property.name, path.into_actions())
                }
                (_, None) => {}
            }
        }
        println!("{} states", checker.unique_state_count());
        states += checker.unique_state_count();
    }
    (states, met)
}

/// Searches until a property is broken.
///
/// # Panics
/// If it never is.
pub fn broken<M>(model: M, fault: impl Debug, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let wanted = HasDiscoveries::AllOf([property].into());
    let checker = model.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let found = checker.discovery(property).is_some();
    assert!(found, "{fault:?}: the search does not find that it fails that `{property}`");
    println!("{fault:?}: found in {} states", checker.unique_state_count());
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::Property;

    /// Counts to three.
    #[derive(Clone)]
    struct Count;

    impl Model for Count {
        type State = u8;
        type Action = u8;

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, count: &u8, actions: &mut Vec<u8>) {
            actions.extend((*count < 3).then_some(1));
        }

        fn next_state(&self, count: &u8, by: u8) -> Option<u8> {
            Some(count + by)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![
                Property::always("below three", |_, count| *count < 3),
                Property::always("below four", |_, count| *count < 4),
            ]
        }
    }

    #[test]
    #[should_panic(expected = "it fails that `below three`")]
    fn a_broken_property_is_reported() {
        all([Count]);
    }

    #[test]
    #[should_panic(expected = "does not find that it fails that `below four`")]
    fn a_property_that_holds_is_not_found_broken() {
        broken(Count, "no fault", "below four");
    }
}
