//! What a command that talks to a server starts from: the configuration, the output, and which server with which key.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use fumehood_model::Code;
use fumehood_store::DataDirectory;

use crate::{args::Global, client::Client, config::Loaded, exit::Failure, output::Output};

/// What most commands start from.
pub(crate) struct Session<'a> {
    pub(crate) global: &'a Global,
    pub(crate) loaded: &'a Loaded,
    pub(crate) output: Output,
}

impl Session<'_> {
    /// A client of the server that was asked for. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// When the address or the key cannot be used.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let client = match &self.global.server {
            Some(server) => Client::new(server)?,
            None => Client::new(&format!("http://{}", reachable(self.loaded.config.server.listen)))?,
        };
        match &self.global.key {
            Some(key) => Ok(client.with_key(key)?),
            // An administrator's key never leaves this machine unless it was named.
            None if is_loopback(client.host()) => self.key_of_file(client),
            None => Ok(client),
        }
    }

    fn key_of_file(&self, client: Client) -> anyhow::Result<Client> {
        let path = DataDirectory::admin_key_file(&self.loaded.config.server.data_dir);
        match fs::read_to_string(&path) {
            Ok(key) => Ok(client.with_key(&key)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(client),
            Err(error) => {
                let message = format!("the key file {} cannot be read: {error}", path.display());
                Err(Failure::new(Code::Forbidden, message).hint("pass --key or FUMEHOOD_KEY").into())
            }
        }
    }
}

/// Where a server that listens on `address` can be reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_over_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
    }

    #[test]
    fn the_key_file_is_for_this_machine_only() {
        assert!(["127.0.0.1", "localhost", "[::1]"].into_iter().all(is_loopback));
        assert!(!["localhost.example", "10.0.0.1", "127.0.0.1.example"].into_iter().any(is_loopback));
    }
}
