//! Tables in a restaurant: a tool that asks its user before it acts, and cannot be talked into an answer.

use fumehood::prelude::*;

tools![book_table];

/// The largest table.
const MOST: u8 = 8;

/// Book a table, after the user has agreed.
#[tool(destructive = false, example(day = "2026-12-24", guests = 4))]
fn book_table(
    ctx: &Ctx,
    /// On which day: `2026-12-24`.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    day: String,
    /// For how many; the user is asked unless it is known.
    #[schemars(range(min = 1))]
    guests: Option<u8>,
) -> Result<Booking, ToolError> {
    let guests = match guests {
        Some(guests) => guests,
        None => match ctx.ask::<Party>("party", "How many will come?")? {
            Some(party) => party.guests,
            None => return Ok(Booking::none(day)),
        },
    };
    if guests > MOST {
        return Err(ToolError::invalid("/guests", format!("a table has at most {MOST} seats")));
    }
    let question = format!("Book a table for {guests} on {day}?");
    let agreed = ctx.ask::<Agreement>("agreement", &question)?;
    Ok(match agreed {
        Some(agreement) => Booking { day, booked: true, guests: Some(guests), wish: agreement.wish },
        None => Booking::none(day),
    })
}

/// How many will come.
#[data]
struct Party {
    /// How many.
    #[schemars(range(min = 1, max = 8))]
    guests: u8,
}

/// What the user adds.
#[data]
struct Agreement {
    /// By the window, a high chair, …
    wish: Option<String>,
}

/// What came of it.
#[data]
#[derive(PartialEq)]
struct Booking {
    /// On which day.
    day: String,
    /// Whether there is a table.
    booked: bool,
    /// For how many.
    guests: Option<u8>,
    /// What the user wishes.
    wish: Option<String>,
}

impl Booking {
    fn none(day: String) -> Self {
        Self { day, booked: false, guests: None, wish: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> String {
        "2026-12-24".to_owned()
    }

    #[test]
    fn nothing_is_booked_before_the_user_has_agreed() {
        let ctx = Ctx::fake();

        let error = book_table(&ctx, day(), Some(4)).unwrap_err();

        assert_eq!(error.asks().unwrap().requests[0].key, "agreement");
        assert_eq!(ctx.told().asked.len(), 1);
    }

    #[test]
    fn answers_to_two_questions_come_one_after_the_other() {
        let first = Ctx::fake();
        assert!(book_table(&first, day(), None).unwrap_err().asks().is_some());
        let second = Ctx::fake().accepts("party", &json!({ "guests": 2 }));
        assert!(book_table(&second, day(), None).unwrap_err().asks().is_some());
        let third =
            Ctx::fake().accepts("party", &json!({ "guests": 2 })).accepts("agreement", &json!({ "wish": "quiet" }));

        let booking = book_table(&third, day(), None).unwrap();

        assert_eq!(booking, Booking { day: day(), booked: true, guests: Some(2), wish: Some("quiet".to_owned()) });
    }

    #[test]
    fn whoever_declines_has_no_table() {
        let booking = book_table(&Ctx::fake().declines("agreement"), day(), Some(4)).unwrap();

        assert!(!booking.booked);
    }
}
