from w2sprobe.cli import main

main()
