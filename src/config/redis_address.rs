//! Where a Redis is: one server, Sentinels that know it, or a Cluster; read from one URL.
//!
//! ```text
//!  redis://[user:password@]host[:port][/db]                     rediss:// the same with TLS
//!  redis+sentinel://[user:password@]host[:port][/db]?master=NAME[&addr=host:port ...][&sentinel_password=...]
//!  redis+cluster://[user:password@]host[:port][?addr=host:port ...]
//!  unix:///path/of/the/socket[?db=N&user=...&pass=...]
//! ```
//! With TLS: `rediss+sentinel://`, `rediss+cluster://`.

use std::fmt;

use url::Url;

/// Why a text is no address of a Redis. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    #[error("this is no address of a Redis")]
    Form,
    #[error("`{0}` is no scheme of a Redis: redis, rediss, redis+sentinel, redis+cluster or unix")]
    Scheme(String),
    #[error("a Sentinel address names its master: add ?master=NAME")]
    Master,
    #[error("`addr` is written host:port")]
    Node,
    #[error("`{0}` is not known here: master, addr, sentinel_user and sentinel_password are")]
    Parameter(String),
    #[error("the database after the host is a number; a Cluster has only 0")]
    Database,
}

/// One host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub host: String,
    pub port: u16,
}

/// How a Redis is found.
#[derive(Clone, PartialEq, Eq)]
pub enum How {
    /// One server: its URL as the client library reads it.
    One(String),
    Sentinel {
        master: String,
        sentinel_user: Option<String>,
        sentinel_password: Option<String>,
    },
    Cluster,
}

/// Never with a password.
impl fmt::Debug for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::One(_) => "One",
            How::Sentinel { .. } => "Sentinel",
            How::Cluster => "Cluster",
        })
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub how: How,
    /// Sentinels or nodes of a Cluster; the one server.
    pub nodes: Vec<Node>,
    pub tls: bool,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: i64,
}

/// Never with a password.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For the log and for messages: no user, no password.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.tls { "s" } else { "" };
        let kind = match &self.how {
            How::One(_) => "",
            How::Sentinel { .. } => "+sentinel",
            How::Cluster => "+cluster",
        };
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("{}:{}", node.host, node.port)).collect();
        if nodes.is_empty() {
            return f.write_str("unix socket");
        }
        write!(f, "redis{secure}{kind}://{}", nodes.join(","))
    }
}

impl RedisAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// In words, without the text itself.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        let url = Url::parse(text).map_err(|_| AddressProblem::Form)?;
        let (scheme, tls) = match url.scheme() {
            "unix" | "redis+unix" => return one(&url, text, Vec::new(), false),
            "redis" => ("one", false),
            "rediss" => ("one", true),
            "redis+sentinel" => ("sentinel", false),
            "rediss+sentinel" => ("sentinel", true),
            "redis+cluster" => ("cluster", false),
            "rediss+cluster" => ("cluster", true),
            other => return Err(AddressProblem::Scheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressProblem::Form)?;
        let usual = if scheme == "sentinel" { 26379 } else { 6379 };
        let host = host.trim_matches(['[', ']']).to_owned();
        let first = Node { host, port: url.port().unwrap_or(usual) };
        if scheme == "one" {
            return one(&url, text, vec![first], tls);
        }
        let mut nodes = vec![first];
        let (mut master, mut sentinel_user, mut sentinel_password) = (None, None, None);
        for (name, value) in url.query_pairs() {
            match (scheme, name.as_ref()) {
                (_, "addr") => nodes.push(node(&value)?),
                ("sentinel", "master") => master = Some(value.into_owned()),
                ("sentinel", "sentinel_user") => sentinel_user = Some(value.into_owned()),
                ("sentinel", "sentinel_password") => sentinel_password = Some(value.into_owned()),
                (_, other) => return Err(AddressProblem::Parameter(other.chars().take(40).collect())),
            }
        }
        let database = match url.path().trim_matches('/') {
            "" => 0,
            text => text.parse().map_err(|_| AddressProblem::Database)?,
        };
        let how = if scheme == "cluster" {
            if database != 0 {
                return Err(AddressProblem::Database);
            }
            How::Cluster
        } else {
            let master = master.filter(|name| !name.is_empty()).ok_or(AddressProblem::Master)?;
            How::Sentinel { master, sentinel_user, sentinel_password }
        };
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        Ok(RedisAddress { how, nodes, tls, user, password: url.password().map(decoded), database })
    }
}

impl std::str::FromStr for RedisAddress {
    type Err = AddressProblem;
    fn from_str(text: &str) -> Result<Self, AddressProblem> {
        RedisAddress::parse(text)
    }
}

/// One server: the client library reads all of it.
fn one(url: &Url, text: &str, nodes: Vec<Node>, tls: bool) -> Result<RedisAddress, AddressProblem> {
    let database = url.path().trim_matches('/');
    if !nodes.is_empty() && !database.is_empty() && database.parse::<i64>().is_err() {
        return Err(AddressProblem::Database);
    }
    let how = How::One(text.to_owned());
    Ok(RedisAddress { how, nodes, tls, user: None, password: None, database: 0 })
}

fn node(text: &str) -> Result<Node, AddressProblem> {
    let (host, port) = text.rsplit_once(':').ok_or(AddressProblem::Node)?;
    let port = port.parse().map_err(|_| AddressProblem::Node)?;
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(AddressProblem::Node);
    }
    Ok(Node { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentinels_and_a_cluster_are_told_apart() {
        let one = RedisAddress::parse("rediss://anna:s3cret@redis.example.org:6380/2").unwrap();
        assert!(matches!(&one.how, How::One(_)) && one.tls);
        let sentinel =
            RedisAddress::parse("redis+sentinel://anna:p%40ss@one/3?master=main&addr=two:26380&addr=[::1]:26381")
                .unwrap();
        assert_eq!(sentinel.nodes.len(), 3);
        assert_eq!((sentinel.nodes[0].port, sentinel.nodes[2].host.as_str()), (26379, "::1"));
        assert_eq!((sentinel.password.as_deref(), sentinel.database), (Some("p@ss"), 3));
        assert!(matches!(&sentinel.how, How::Sentinel { master, .. } if master == "main"));
        let cluster = RedisAddress::parse("rediss+cluster://10.0.0.1:7000?addr=10.0.0.2:7000").unwrap();
        assert!(cluster.how == How::Cluster && cluster.tls && cluster.nodes.len() == 2);
        assert!(RedisAddress::parse("unix:///run/redis.sock?db=1").unwrap().nodes.is_empty());
    }

    #[test]
    fn what_is_no_address_is_refused_without_saying_its_password() {
        for bad in [
            "",
            "s3cret",
            "http://anna:s3cret@host",
            "redis://anna:s3cret@",
            "redis://anna:s3cret@host/nine",
            "redis+sentinel://anna:s3cret@host",
            "redis+sentinel://anna:s3cret@host?master=",
            "redis+sentinel://host?master=m&addr=two",
            "redis+sentinel://host?master=m&tls=yes",
            "redis+cluster://host/1",
            "redis+cluster://host?master=m",
        ] {
            let problem = RedisAddress::parse(bad).unwrap_err();
            assert!(!format!("{problem} {problem:?}").contains("s3cret"), "{problem}");
        }
        let good = RedisAddress::parse("redis+cluster://anna:s3cret@host").unwrap();
        assert!(!format!("{good} {good:?}").contains("s3cret"));
    }
}
