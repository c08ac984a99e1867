;; Grows its memory by what it is asked for.
;; `grow` must return the old size in pages while the limit allows, and beyond it -1 or be stopped for memory.
;; `grow-forever` grows page by page and must be stopped for memory, not for the trap that ends it.
(component
  (core module $code
    (memory 1)
    (func (export "grow") (param i32) (result i32)
      (memory.grow (local.get 0)))
    (func (export "grow-forever") (result i32)
      (loop $again
        (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      unreachable))
  (core instance $code (instantiate $code))
  (func (export "grow") (param "pages" u32) (result s32)
    (canon lift (core func $code "grow")))
  (func (export "grow-forever") (result u32)
    (canon lift (core func $code "grow-forever"))))
