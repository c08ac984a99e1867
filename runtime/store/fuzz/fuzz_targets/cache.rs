//! Any bytes as a cached file and its seal: nothing is read but what was sealed here.

#![no_main]

use std::{fs, sync::LazyLock};

use fumehood_store::{Access, Cache, DataDirectory};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const GENUINE: &[u8] = b"code";

struct House {
    cache: Cache,
    seal: Vec<u8>,
    folder: TempDir,
    /// Holds the lock.
    _directory: DataDirectory,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory = DataDirectory::open(folder.path(), Access::Own).expect("a new data directory");
    let cache = directory.cache().expect("it has a cache");
    cache.put("a", GENUINE).expect("it can be written");
    let seal = fs::read(folder.path().join("cache/a.seal")).expect("there is a seal");
    House { cache, seal, folder, _directory: directory }
});

fuzz_target!(|bytes: &[u8]| {
    let path = |name: &str| HOUSE.folder.path().join("cache").join(name);
    let (seal, content) = bytes.split_at(bytes.len().min(32));
    // Whatever the seal, and the genuine one with other bytes, and other bytes with the genuine one.
    for (content, seal) in [(content, seal), (content, &HOUSE.seal[..]), (GENUINE, seal)] {
        fs::write(path("a"), content).expect("it can be written");
        fs::write(path("a.seal"), seal).expect("it can be written");

        let genuine = content == GENUINE && seal == HOUSE.seal;
        assert_eq!(HOUSE.cache.read("a").as_deref(), genuine.then_some(GENUINE));
    }
});
