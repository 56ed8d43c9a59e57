//! A follower: applies the entries that the primary has committed; and the changes of role.
