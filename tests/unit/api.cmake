holm_unit_test(api_config api/test_config.c api)
holm_unit_test(api_cli api/test_cli.c api)
holm_unit_test(api_server api/test_server.c api)
