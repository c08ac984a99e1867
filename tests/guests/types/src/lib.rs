//! An echo of every type of value that WIT has, for the tests of how values cross.
//!
//! Nearly every function returns its argument unchanged, so that a test can compare what went in with what came out.

wit_bindgen::generate!({ path: "wit", world: "types" });

use exports::test::types::echo::{
    Bits, Color, Days, Escaped, Everything, Figure, KitchenSink, NestedOptions, OneFlag, Outcomes,
    Permissions, Person, Shape, Team,
};

struct Types;

impl exports::test::types::echo::Guest for Types {
    fn echo_bool(value: bool) -> bool {
        value
    }

    fn echo_s8(value: i8) -> i8 {
        value
    }

    fn echo_s16(value: i16) -> i16 {
        value
    }

    fn echo_s32(value: i32) -> i32 {
        value
    }

    fn echo_s64(value: i64) -> i64 {
        value
    }

    fn echo_u8(value: u8) -> u8 {
        value
    }

    fn echo_u16(value: u16) -> u16 {
        value
    }

    fn echo_u32(value: u32) -> u32 {
        value
    }

    fn echo_u64(value: u64) -> u64 {
        value
    }

    fn echo_f32(value: f32) -> f32 {
        value
    }

    fn echo_f64(value: f64) -> f64 {
        value
    }

    fn echo_char(value: char) -> char {
        value
    }

    fn echo_string(value: String) -> String {
        value
    }

    fn echo_bytes(value: Vec<u8>) -> Vec<u8> {
        value
    }

    fn echo_strings(value: Vec<String>) -> Vec<String> {
        value
    }

    fn echo_numbers(value: Vec<i32>) -> Vec<i32> {
        value
    }

    fn echo_wide_numbers(value: Vec<u64>) -> Vec<u64> {
        value
    }

    fn echo_chars(value: Vec<char>) -> Vec<char> {
        value
    }

    fn echo_bools(value: Vec<bool>) -> Vec<bool> {
        value
    }

    fn echo_lists(value: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        value
    }

    fn echo_people(value: Vec<Person>) -> Vec<Person> {
        value
    }

    fn echo_pair(value: (u32, String)) -> (u32, String) {
        value
    }

    fn echo_triple(value: (bool, f64, Vec<u8>)) -> (bool, f64, Vec<u8>) {
        value
    }

    fn echo_single(value: (u64,)) -> (u64,) {
        value
    }

    fn echo_pairs(value: Vec<(String, u32)>) -> Vec<(String, u32)> {
        value
    }

    fn echo_person(value: Person) -> Person {
        value
    }

    fn echo_team(value: Team) -> Team {
        value
    }

    fn echo_escaped(value: Escaped) -> Escaped {
        value
    }

    fn echo_shape(value: Shape) -> Shape {
        value
    }

    fn echo_figure(value: Figure) -> Figure {
        value
    }

    fn echo_shapes(value: Vec<Shape>) -> Vec<Shape> {
        value
    }

    fn echo_color(value: Color) -> Color {
        value
    }

    fn echo_permissions(value: Permissions) -> Permissions {
        value
    }

    fn echo_one_flag(value: OneFlag) -> OneFlag {
        value
    }

    fn echo_days(value: Days) -> Days {
        value
    }

    fn echo_bits(value: Bits) -> Bits {
        value
    }

    fn echo_option(value: Option<u32>) -> Option<u32> {
        value
    }

    fn echo_option_string(value: Option<String>) -> Option<String> {
        value
    }

    fn echo_option_option(value: Option<Option<u32>>) -> Option<Option<u32>> {
        value
    }

    fn echo_option_person(value: Option<Person>) -> Option<Person> {
        value
    }

    fn echo_options(value: Vec<Option<String>>) -> Vec<Option<String>> {
        value
    }

    fn echo_nested_options(value: NestedOptions) -> NestedOptions {
        value
    }

    fn echo_outcome(value: Result<(), ()>) -> (Result<(), ()>,) {
        (value,)
    }

    fn echo_outcome_ok(value: Result<u32, ()>) -> (Result<u32, ()>,) {
        (value,)
    }

    fn echo_outcome_error(value: Result<(), String>) -> (Result<(), String>,) {
        (value,)
    }

    fn echo_outcome_both(value: Result<Person, Shape>) -> (Result<Person, Shape>,) {
        (value,)
    }

    fn echo_outcomes(value: Outcomes) -> Outcomes {
        value
    }

    fn echo_list_of_outcomes(value: Vec<Result<u32, String>>) -> Vec<Result<u32, String>> {
        value
    }

    fn return_outcome(value: Result<(), ()>) -> Result<(), ()> {
        value
    }

    fn return_outcome_ok(value: Result<u32, ()>) -> Result<u32, ()> {
        value
    }

    fn return_outcome_error(value: Result<(), String>) -> Result<(), String> {
        value
    }

    fn return_outcome_both(value: Result<Person, Shape>) -> Result<Person, Shape> {
        value
    }

    fn return_outcome_option(
        value: Result<Option<u32>, Option<String>>,
    ) -> Result<Option<u32>, Option<String>> {
        value
    }

    fn echo_deep(value: Vec<Vec<Option<Person>>>) -> Vec<Vec<Option<Person>>> {
        value
    }

    fn echo_kitchen_sink(value: KitchenSink) -> KitchenSink {
        value
    }

    fn same_age(a: Person, b: Person) -> Person {
        if b.age_in_years > a.age_in_years {
            b
        } else {
            a
        }
    }

    fn many_parameters(
        a_bool: bool,
        an_s8: i8,
        an_s16: i16,
        an_s32: i32,
        an_s64: i64,
        a_u8: u8,
        a_u16: u16,
        a_u32: u32,
        a_u64: u64,
        an_f32: f32,
        an_f64: f64,
        a_char: char,
        a_string: String,
        a_list: Vec<String>,
        an_option: Option<u32>,
        a_color: Color,
        a_person: Person,
        a_shape: Shape,
    ) -> Everything {
        Everything {
            a_bool,
            an_s8,
            an_s16,
            an_s32,
            an_s64,
            a_u8,
            a_u16,
            a_u32,
            a_u64,
            an_f32,
            an_f64,
            a_char,
            a_string,
            a_list,
            an_option,
            a_color,
            a_person,
            a_shape,
        }
    }

    fn no_parameters() -> String {
        "constant".to_owned()
    }

    fn no_result(_value: u32) {}

    fn nothing() {}

    fn optional_parameters(
        first: Option<u32>,
        second: String,
        third: Option<Vec<u8>>,
    ) -> (Option<u32>, String, Option<Vec<u8>>) {
        (first, second, third)
    }

    fn escaped_parameters(type_: String, list: u32, func: bool) -> (String, u32, bool) {
        (type_, list, func)
    }
}

impl Guest for Types {
    fn world_string(value: String) -> String {
        value
    }

    fn world_u64(value: u64) -> u64 {
        value
    }

    fn world_point(value: Point) -> Point {
        value
    }

    fn world_result(value: Result<String, String>) -> Result<String, String> {
        value
    }
}

export!(Types);
