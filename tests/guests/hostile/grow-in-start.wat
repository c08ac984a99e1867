;; Takes all the memory there is before it is ready, and crashes when there is no more.
(component
  (core module $code
    (memory 0)
    (func $start
      (loop $again
        (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      unreachable)
    (start $start)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
