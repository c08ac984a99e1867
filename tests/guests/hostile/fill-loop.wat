;; Fills ten megabytes again and again: each round is a single instruction.
(component
  (core module $code
    (memory 160)
    (func (export "fill")
      (loop $again
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 10485760))
        (br $again))))
  (core instance $code (instantiate $code))
  (func (export "fill") (canon lift (core func $code "fill"))))
