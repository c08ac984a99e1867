//! A tool with an honest bug: it looks for something that is not there, forever.
//!
//! The server has to stop it. Nothing here is malicious, and a review would be likely to let it pass.

wit_bindgen::generate!({ path: "wit", world: "prime-gaps" });

struct PrimeGaps;

impl Guest for PrimeGaps {
    fn find_prime_gap(start: u64) -> u64 {
        let mut widest = 0;
        let mut previous = next_prime(start);
        loop {
            let prime = next_prime(previous + 1);
            let gap = prime - previous;
            // The bug: `widest` is raised before it is compared, so no gap is ever wider.
            widest = widest.max(gap);
            if gap > widest {
                return gap;
            }
            previous = prime;
        }
    }

    fn is_prime(number: u64) -> bool {
        is_prime(number)
    }
}

fn next_prime(from: u64) -> u64 {
    // Past the largest prime the search starts over, so that it never ends by overflowing either.
    (from..=u64::MAX)
        .find(|number| is_prime(*number))
        .unwrap_or(2)
}

fn is_prime(number: u64) -> bool {
    if number < 4 {
        return number > 1;
    }
    if number.is_multiple_of(2) {
        return false;
    }
    let mut divisor = 3;
    while divisor <= number / divisor {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

export!(PrimeGaps);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_primes_are_known() {
        let primes: Vec<u64> = (0..30).filter(|number| is_prime(*number)).collect();

        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(next_prime(90), 97);
        assert!(!is_prime(25));
    }
}
