//! What it costs to let others run, by fuel and by epochs, and how late a deadline is.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use fumehood_capabilities::{Granted, Heard, Nothing};
use fumehood_model::Digest;
use fumehood_policy::Limits;
use fumehood_sandbox::{Call, Compiler, CompilerLimits, Config, Isolation, Sandbox, Yield};
use fumehood_store::{Access, DataDirectory};
use fumehood_value::Arguments;
use tokio::runtime::Runtime;

/// Counts primes below a bound by trial division: a loop that does nothing but compute.
const PRIMES: &str = r#"
(component
  (core module $m
    (func (export "primes") (param $most i32) (result i32)
      (local $n i32) (local $d i32) (local $count i32)
      (local.set $n (i32.const 2))
      (block $done
        (loop $next
          (br_if $done (i32.ge_u (local.get $n) (local.get $most)))
          (local.set $d (i32.const 2))
          (block $composite
            (loop $divide
              (if (i32.lt_u (local.get $d) (local.get $n))
                (then
                  (br_if $composite (i32.eqz (i32.rem_u (local.get $n) (local.get $d))))
                  (local.set $d (i32.add (local.get $d) (i32.const 1)))
                  (br $divide))))
            (local.set $count (i32.add (local.get $count) (i32.const 1))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next)))
      (local.get $count)))
  (core instance $i (instantiate $m))
  (func (export "primes") (param "most" u32) (result u32) (canon lift (core func $i "primes"))))
"#;

struct Bench {
    sandbox: Sandbox,
    digest: Digest,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(runtime: &Runtime, yields: Yield) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let directory = DataDirectory::open(folder.path(), Access::Own).expect("a fresh data directory");
        let (blobs, cache) = (directory.blobs().expect("blobs"), directory.cache().expect("cache"));
        let bytes = wat::parse_str(PRIMES).expect("the text above is a component");
        let digest = Digest::of(&bytes);
        blobs.put(&digest, &bytes).expect("the component is kept");
        let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
        let config = Config { yields, ..Config::default() };
        let sandbox = Sandbox::new(config, compiler, blobs, cache, None).expect("the sandbox starts");
        runtime.block_on(sandbox.load(&digest)).expect("it loads");
        Self { sandbox, digest, _folder: folder }
    }

    async fn primes(&self, most: u32, deadline: Duration) -> Duration {
        let started = Instant::now();
        let limits = Limits { fuel_units: u64::MAX / 2, ..Limits::default() };
        let call = Call {
            digest: self.digest,
            function: 0,
            arguments: Arguments::Text(format!("{{\"most\":{most}}}").into()),
            limits,
            deadline: started + deadline,
            granted: Granted::default(),
            host: Arc::new(Nothing),
            heard: Heard::default(),
            trusted: true,
        };
        self.sandbox.call(call, ()).await.expect("the call takes place");
        started.elapsed()
    }
}

fn yields(c: &mut Criterion) {
    let runtime = Runtime::new().expect("tokio starts");
    let ways = [
        ("no turns", Yield::Fuel(u64::MAX / 4)),
        ("fuel, 50,000", Yield::Fuel(50_000)),
        ("fuel, 200,000", Yield::Fuel(200_000)),
        ("fuel, 1,000,000", Yield::Fuel(1_000_000)),
        ("epochs of 1 ms", Yield::Epoch),
    ];
    let mut group = c.benchmark_group("yields");
    group.sample_size(20);
    for (name, way) in ways {
        let bench = Bench::new(&runtime, way);
        let sandbox = bench.sandbox.clone();
        // The ticker belongs to epochs alone; it runs for as long as this way is measured.
        let ticker = (way == Yield::Epoch).then(|| {
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    sandbox.tick();
                }
            })
        });
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| bench.primes(6_000, Duration::from_secs(60)));
        });
        if name != "no turns" {
            let allowed = Duration::from_millis(50);
            let late = (0..40).map(|_| runtime.block_on(bench.primes(u32::MAX, allowed)).saturating_sub(allowed));
            let late = late.max().unwrap_or_default();
            println!("yields/{name}: a deadline of 50 ms was at most {late:?} late in 40 calls");
        }
        if let Some(ticker) = ticker {
            ticker.abort();
        }
    }
    group.finish();
}

criterion_group!(benches, yields);
criterion_main!(benches);
