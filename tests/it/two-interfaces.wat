;; Two interfaces that each export a function called `number`.
(component
  (core module $code
    (func (export "one") (result i32) (i32.const 1))
    (func (export "two") (result i32) (i32.const 2)))
  (core instance $code (instantiate $code))
  (func $one (result u32) (canon lift (core func $code "one")))
  (func $two (result u32) (canon lift (core func $code "two")))
  (instance $first (export "number" (func $one)))
  (instance $second (export "number" (func $two)))
  (export "test:twins/first" (instance $first))
  (export "test:twins/second" (instance $second)))
