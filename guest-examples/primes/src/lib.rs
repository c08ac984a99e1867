//! Prime numbers, counted: work that takes long, tells how far it is, ends when nobody wants it any more, and goes on where
//! an earlier attempt was.

use fumehood::prelude::*;

tools![count_primes];

/// How many numbers are looked at between two looks at the host.
const STRIDE: u64 = 10_000;

/// Count the prime numbers up to a number.
#[tool(read_only, idempotent, tasks = "optional", example(to = 1000))]
fn count_primes(
    ctx: &Ctx,
    /// The last number that is looked at.
    #[schemars(range(max = 2_000_000))]
    to: u64,
) -> Result<Counted, ToolError> {
    let mut so_far = ctx.resumed()?.unwrap_or(Counted { primes: 0, to: 0 });
    while so_far.to < to {
        if ctx.cancelled() {
            return Err(ToolError::cancelled(format!("up to {} there are {}", so_far.to, so_far.primes)));
        }
        let end = to.min(so_far.to + STRIDE);
        so_far.primes += (so_far.to + 1..=end).filter(|number| is_prime(*number)).count() as u64;
        so_far.to = end;
        ctx.checkpoint(&so_far)?;
        ctx.progress(end as f64, to as f64, &format!("{} so far", so_far.primes));
    }
    Ok(so_far)
}

/// How many there are.
#[data]
#[derive(PartialEq)]
struct Counted {
    /// How many prime numbers there are.
    primes: u64,
    /// Up to which number.
    to: u64,
}

fn is_prime(number: u64) -> bool {
    number >= 2 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| number % divisor != 0)
}

#[cfg(test)]
mod tests {
    use fumehood::Kind;

    use super::*;

    #[test]
    fn each_stride_is_told_of() {
        let ctx = Ctx::fake();

        assert_eq!(count_primes(&ctx, 25_000).unwrap().primes, 2762);

        let told: Vec<_> = ctx.told().progress.into_iter().map(|progress| progress.done).collect();
        assert_eq!(told, [10_000.0, 20_000.0, 25_000.0]);
    }

    #[test]
    fn whoever_cancels_hears_how_far_it_was() {
        let error = count_primes(&Ctx::fake().cancel(), 100).unwrap_err();

        assert_eq!(error.kind(), Some(Kind::Cancelled));
    }

    #[test]
    fn another_attempt_goes_on_from_the_checkpoint() {
        let ctx = Ctx::fake().resumes(&Counted { primes: 1229, to: 10_000 });

        assert_eq!(count_primes(&ctx, 20_000).unwrap().primes, 2262);
        assert_eq!(ctx.told().progress.len(), 1);
    }
}
