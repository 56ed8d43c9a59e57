//! Commands about places.
//!
//! Redis looks at the key before it reads the arguments of a search, so a wrong argument is replied only if the key has
//! no value of another type.

use crate::command::arguments::{CommandError, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::geo_arguments::{SearchArguments, SearchForm, read_place, unit};
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyRange, KeyUse, OW, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, MultiKeyOp, Query, Score, ScoreCondition, SortedSetChange, SortedSetQuery, Unit,
};

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("geoadd", -5, "write denyoom", |e, a| e.geoadd(a))
    .keys(&[key(1, RW | UPDATE)])
    .since("3.2.0", Group::Geo)
    .syntax("key#0 [condition:<NX|XX>@6.2.0] [change:CH@6.2.0] \
             longitude_latitude_member:(longitude/double latitude/double member)...")
    .summary("Adds members with their places to a sorted set.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
    command("georadius", -6, "write denyoom movablekeys", |e, a| e.geo_radius(a, true))
    .keys(&[key(1, RO | ACCESS), key(0, OW | UPDATE).behind("STORE", 6), key(0, OW | UPDATE).behind("STOREDIST", 6)])
    .found_by(|a| radius_keys(a, 6))
    .since("3.2.0", Group::Geo)
    .syntax("key#0 longitude/double latitude/double radius/double unit:<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count:(COUNT count/integer [ANY@6.2.0])] [order:<ASC|DESC>] [STORE key#1] [STOREDIST key#2]")
    .summary("Returns or stores the members whose places are within a circle.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("georadiusbymember", -5, "write denyoom movablekeys", |e, a| e.geo_radius(a, true))
    .keys(&[key(1, RO | ACCESS), key(0, OW | UPDATE).behind("STORE", 5), key(0, OW | UPDATE).behind("STOREDIST", 5)])
    .found_by(|a| radius_keys(a, 5))
    .since("3.2.0", Group::Geo)
    .syntax("key#0 member radius/double unit:<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count:(COUNT count/integer [ANY])] [order:<ASC|DESC>] [STORE key#1] [STOREDIST key#2]")
    .summary("Returns or stores the members whose places are within a circle around another's.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("georadius_ro", -6, "readonly", |e, a| e.geo_radius(a, false))
    .keys(&[key(1, RO | ACCESS)])
    .since("3.2.10", Group::Geo)
    .syntax("key#0 longitude/double latitude/double radius/double unit:<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count:(COUNT count/integer [ANY@6.2.0])] [order:<ASC|DESC>]")
    .summary("Returns the members whose places are within a circle.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("georadiusbymember_ro", -5, "readonly", |e, a| e.geo_radius(a, false))
    .keys(&[key(1, RO | ACCESS)])
    .since("3.2.10", Group::Geo)
    .syntax("key#0 member radius/double unit:<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [count:(COUNT count/integer [ANY])] [order:<ASC|DESC>]")
    .summary("Returns the members whose places are within a circle around another's.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("geosearch", -7, "readonly", |e, a| e.geo_search(a))
    .keys(&[key(1, RO | ACCESS)])
    .since("6.2.0", Group::Geo)
    .syntax("key#0 from:<FROMMEMBER member|FROMLONLAT longitude_latitude:(longitude/double latitude/double)> \
             by:<circle:(BYRADIUS radius/double unit:<M|KM|FT|MI>)|\
             box:(BYBOX width/double height/double unit:<M|KM|FT|MI>)> \
             [order:<ASC|DESC>] [count:(COUNT count/integer [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]")
    .summary("Returns the members whose places are within a circle or a box.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("geosearchstore", -8, "write denyoom", |e, a| e.geo_search(a))
    .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS)])
    .since("6.2.0", Group::Geo)
    .syntax("destination#0 source#1 from:<FROMMEMBER member|\
             FROMLONLAT longitude_latitude:(longitude/double latitude/double)> \
             by:<circle:(BYRADIUS radius/double unit:<M|KM|FT|MI>)|\
             box:(BYBOX width/double height/double unit:<M|KM|FT|MI>)> \
             [order:<ASC|DESC>] [count:(COUNT count/integer [ANY])] [STOREDIST]")
    .summary("Stores the members whose places are within a circle or a box.")
    .takes_time("O(N + log M), N is the number of places in the boxes around the area, M that of all"),
    command("geodist", -4, "readonly", |e, a| e.geodist(a))
    .keys(&[key(1, RO | ACCESS)])
    .since("3.2.0", Group::Geo)
    .syntax("key#0 member1 member2 [unit:<M|KM|FT|MI>]")
    .summary("Returns the distance between the places of two members.")
    .takes_time("O(log N), N is the number of members"),
    command("geohash", -2, "readonly", |e, a| e.places(a, ReplyKind::Geohashes))
    .keys(&[key(1, RO | ACCESS)])
    .since("3.2.0", Group::Geo)
    .syntax("key#0 member...")
    .summary("Returns the geohashes of members as texts.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
    command("geopos", -2, "readonly", |e, a| e.places(a, ReplyKind::Positions))
    .keys(&[key(1, RO | ACCESS)])
    .since("3.2.0", Group::Geo)
    .syntax("key#0 member...")
    .summary("Returns the longitudes and latitudes of members.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
];

/// Returns the keys of GEORADIUS and GEORADIUSBYMEMBER: options, which begin at an argument, name keys of the result.
fn radius_keys(arguments: &[&[u8]], options: usize) -> KeyRange {
    let named = |word: &str| {
        let mut places = options..arguments.len().saturating_sub(1);
        let place = places.find(|place| is(arguments[*place], word))?;
        Some((place + 1, KeyUse(OW | UPDATE)))
    };
    KeyRange::one(1).and(named("store")).and_last(named("storedist"))
}

impl<'a> Execution<'_, 'a> {
    /// GEOADD.
    fn geoadd(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (mut exists, mut counts_changed, mut rest) = ([false; 2], false, &arguments[2..]);
        while let [option, behind @ ..] = rest {
            match option {
                option if is(option, "nx") => exists[0] = true,
                option if is(option, "xx") => exists[1] = true,
                option if is(option, "ch") => counts_changed = true,
                _ => break,
            }
            rest = behind;
        }
        let (places, []) = rest.as_chunks() else { return Err(SYNTAX) };
        if places.is_empty() || exists == [true; 2] {
            return Err(SYNTAX);
        }
        let mut members = Vec::with_capacity(places.len());
        for &[longitude, latitude, member] in places {
            let score = Score::new(read_place(longitude, latitude)?.score());
            members.extend(score.map(|score| (score, member)));
        }
        let exists = if exists == [false; 2] { None } else { Some(exists[1]) };
        let condition = ScoreCondition { exists, compares: None };
        let members = self.keep(&members);
        let change = SortedSetChange::SetIf { members, condition, counts_changed };
        self.change(arguments[1], Change::SortedSet(change), ReplyKind::Integer)
    }

    /// GEOPOS and GEOHASH.
    fn places(&mut self, arguments: &[&'a [u8]], kind: ReplyKind) -> Result<(), CommandError> {
        let (members, most) = (self.keep(&arguments[2..]), self.room());
        let scores = SortedSetQuery::Scores { members, most };
        self.read(arguments[1], Query::SortedSet(scores), kind)
    }

    /// GEODIST.
    fn geodist(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let unit = match &arguments[4..] {
            [] => Unit::Metres,
            [name] => unit(name)?,
            _ => return Err(SYNTAX),
        };
        let (members, most) = (self.keep(&arguments[2..4]), self.room());
        let scores = SortedSetQuery::Scores { members, most };
        self.read(arguments[1], Query::SortedSet(scores), ReplyKind::Distance(unit))
    }

    /// GEORADIUS, GEORADIUSBYMEMBER and their forms that only read.
    fn geo_radius(&mut self, arguments: &[&'a [u8]], stores: bool) -> Result<(), CommandError> {
        let is_by_member = self.connection.command.starts_with("georadiusbymember");
        let form = SearchForm::Radius { is_by_member, stores };
        self.search(arguments[1], form, &arguments[2..], None)
    }

    /// GEOSEARCH and GEOSEARCHSTORE.
    fn geo_search(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let stores = self.connection.command == "geosearchstore";
        let name = arguments[0];
        if stores {
            let (to, key) = (arguments[1], arguments[2]);
            return self.search(key, SearchForm::Store(name), &arguments[3..], Some(to));
        }
        self.search(arguments[1], SearchForm::Search(name), &arguments[2..], None)
    }

    fn search(
        &mut self,
        key: &'a [u8],
        form: SearchForm<'_>,
        rest: &[&'a [u8]],
        to: Option<&'a [u8]>,
    ) -> Result<(), CommandError> {
        let found = SearchArguments::read(rest, form, to)?;
        let search = &self.keep(&[found.search])[0];
        if let Some(to) = found.to {
            let distances = found.stores_distances;
            let event = if matches!(form, SearchForm::Radius { .. }) {
                "georadiusstore"
            } else {
                "geosearchstore"
            };
            let op = MultiKeyOp::StoreSearch { from: key, search, to, distances, event };
            self.batch.multi_key(op, ReplyKind::Integer);
            return Ok(());
        }
        let query = SortedSetQuery::Search { search, most: self.room() };
        self.batch.long_read(key, Query::SortedSet(query), ReplyKind::Places(found.shown));
        Ok(())
    }
}
