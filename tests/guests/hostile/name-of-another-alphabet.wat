;; A function whose name looks like "calc" and is written with letters of another alphabet.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "\u{441}\u{430}lc") (result u32) (canon lift (core func $code "one"))))
