holm_unit_test(board board/test_board.c board)
