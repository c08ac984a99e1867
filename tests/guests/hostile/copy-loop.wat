;; Copies five megabytes onto themselves again and again: each round is a single instruction.
(component
  (core module $code
    (memory 160)
    (func (export "copy")
      (loop $again
        (memory.copy (i32.const 1) (i32.const 5242880) (i32.const 5242880))
        (br $again))))
  (core instance $code (instantiate $code))
  (func (export "copy") (canon lift (core func $code "copy"))))
