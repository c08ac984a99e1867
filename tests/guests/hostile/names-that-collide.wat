;; Two interfaces with one short name, each with a function of the same name, and a function of the world that has that
;; name as well. Each must stay a tool of its own.
(component
  (core module $code
    (func (export "one") (result i32) (i32.const 1))
    (func (export "two") (result i32) (i32.const 2))
    (func (export "three") (result i32) (i32.const 3)))
  (core instance $code (instantiate $code))
  (func $one (result u32) (canon lift (core func $code "one")))
  (func $two (result u32) (canon lift (core func $code "two")))
  (instance $first (export "count" (func $one)))
  (instance $second (export "count" (func $two)))
  (export "good:words/counter" (instance $first))
  (export "evil:words/counter" (instance $second))
  (func (export "count") (result u32) (canon lift (core func $code "three"))))
