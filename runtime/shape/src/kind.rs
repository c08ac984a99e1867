use serde_json::{Map, Value};

/// What the items of an answer are, as far as its tool's name or path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Lines of logs and audits.
    Logs,
    /// Statistics.
    Stats,
    /// Services.
    Services,
    /// Servers.
    Servers,
    /// Storage daemons.
    Osds,
    /// Pools.
    Pools,
    /// Block devices.
    Rbds,
    /// Buckets.
    S3,
    /// Tasks.
    Tasks,
    /// Anything else.
    Other,
}

/// Parameters with which callers page: whoever names one of them gets no default.
const PAGING: [&str; 7] = ["limit", "max", "size", "offset", "page", "cursor", "after"];

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Logs,
        Self::Stats,
        Self::Services,
        Self::Servers,
        Self::Osds,
        Self::Pools,
        Self::Rbds,
        Self::S3,
        Self::Tasks,
        Self::Other,
    ];

    /// The kind that the name of a tool or the path of an endpoint speaks of, by the words in it: `list-services`,
    /// `/api/servers/list`.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.to_lowercase();
        let has = |wanted: &[&str]| name.split(|c: char| !c.is_alphanumeric()).any(|word| wanted.contains(&word));
        match () {
            () if has(&["log", "logs", "audit", "audits"]) => Self::Logs,
            () if has(&["stat", "stats", "statistics"]) => Self::Stats,
            () if has(&["service", "services"]) => Self::Services,
            () if has(&["server", "servers"]) => Self::Servers,
            () if has(&["osd", "osds"]) => Self::Osds,
            () if has(&["pool", "pools"]) => Self::Pools,
            () if has(&["rbd", "rbds"]) => Self::Rbds,
            () if has(&["s3", "bucket", "buckets"]) => Self::S3,
            () if has(&["task", "tasks"]) => Self::Tasks,
            () => Self::Other,
        }
    }

    /// Items to ask an upstream for when the caller does not say.
    #[must_use]
    pub fn default_limit(self) -> usize {
        match self {
            Self::Logs => 100,
            Self::Stats => 50,
            Self::Osds => 30,
            Self::Services | Self::Servers => 25,
            _ => 10,
        }
    }

    /// Items that an answer is cut to.
    #[must_use]
    pub fn max_items(self) -> usize {
        match self {
            Self::Logs => 100,
            Self::Stats => 75,
            _ => 25,
        }
    }

    /// The fields that say most of an item.
    #[must_use]
    pub fn essential_fields(self) -> &'static [&'static str] {
        match self {
            Self::Servers => &["id", "hostname", "ip", "status", "role"],
            Self::Services => &["id", "name", "type", "status", "hostname"],
            Self::Osds => &["id", "osd", "status", "host", "used_percent", "up"],
            Self::Pools => &["name", "pool_id", "size", "used_bytes", "percent_used"],
            Self::Rbds => &["name", "pool", "size", "used_size"],
            Self::S3 => &["bucket", "owner", "size", "num_objects"],
            Self::Tasks => &["id", "name", "status", "progress", "error"],
            Self::Logs => &["timestamp", "level", "service", "message"],
            Self::Stats | Self::Other => &[],
        }
    }

    /// Give `arguments` a `limit`, and an `offset` of 0 where the tool takes one, if it is the tool that pages and its
    /// caller said nothing of it. Says whether it did.
    ///
    /// `declares` tells whether the tool itself takes a parameter of that name.
    pub fn add_default_limit(self, arguments: &mut Map<String, Value>, declares: impl Fn(&str) -> bool) -> bool {
        let is_wanted = declares("limit") && !PAGING.iter().any(|name| arguments.contains_key(*name));
        if is_wanted {
            arguments.insert("limit".to_owned(), self.default_limit().into());
            if declares("offset") {
                arguments.insert("offset".to_owned(), 0.into());
            }
        }
        is_wanted
    }
}

/// Whether `path` is one of an endpoint that lists, which alone get a default limit. Only for `GET`.
#[must_use]
pub fn is_list_like(path: &str) -> bool {
    let path = path.to_lowercase();
    ["/list", "/all", "get_all", "/export"].iter().any(|sign| path.contains(sign))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(value: Value) -> Map<String, Value> {
        let Value::Object(arguments) = value else { panic!("expected an object") };
        arguments
    }

    #[test]
    fn the_kind_is_a_whole_word_of_the_name() {
        assert_eq!(Kind::of_name("/api/servers/list"), Kind::Servers);
        assert_eq!(Kind::of_name("list-services"), Kind::Services);
        assert_eq!(Kind::of_name("catalogue"), Kind::Other);
    }

    #[test]
    fn each_kind_has_its_default_limit() {
        let limits = [Kind::Services, Kind::Osds, Kind::Stats, Kind::Logs, Kind::Other].map(Kind::default_limit);

        assert_eq!(limits, [25, 30, 50, 100, 10]);
    }

    #[test]
    fn a_tool_that_pages_gets_the_default_limit() {
        let mut arguments = arguments(json!({"q": "x"}));

        assert!(Kind::Logs.add_default_limit(&mut arguments, |_| true));

        assert_eq!(Value::Object(arguments), json!({"q": "x", "limit": 100, "offset": 0}));
    }

    #[test]
    fn what_the_caller_says_of_paging_wins() {
        let mut arguments = arguments(json!({"offset": 100}));

        assert!(!Kind::Logs.add_default_limit(&mut arguments, |_| true));

        assert_eq!(Value::Object(arguments), json!({"offset": 100}));
    }

    #[test]
    fn a_tool_without_a_limit_gets_none() {
        let mut arguments = Map::new();

        assert!(!Kind::Logs.add_default_limit(&mut arguments, |_| false));

        assert!(arguments.is_empty());
    }

    #[test]
    fn only_paths_that_list_are_list_like() {
        assert!(is_list_like("/api/servers/list"));
        assert!(is_list_like("/api/get_all_pools"));
        assert!(!is_list_like("/api/servers/7"));
    }
}
